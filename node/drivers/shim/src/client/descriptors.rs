//! How many descriptors the daemon may have, and how many those that it starts.

use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limit that this process was started with, once it has raised its own.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process have as many descriptors as its hard limit says: a client's connection and a container cost some
/// each, and the customary 1,024 are soon gone. Shims, and with them containers, get the limit from before, because
/// programs that walk over all possible descriptors take ages with many (getrlimit(2), RLIMIT_NOFILE).
pub fn raise_descriptors() -> Result<(), Errno> {
    let before = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        },
    )?;
    BEFORE.get_or_init(|| before);
    Ok(())
}

/// Gives the child the limit that this process began with.
pub(super) fn as_before(child: i32) -> Result<(), Errno> {
    let Some(before) = BEFORE.get() else { return Ok(()) };
    prlimit(Pid::from_raw(child), Resource::Nofile, *before).map(drop)
}
