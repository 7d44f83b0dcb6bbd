//! The record of a container's end. It is on disk, fsynced with its directory, before anybody is told of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, or 128 + the signal that killed it.
    pub code: i32,
    /// The kernel killed a process of the container for memory at least once.
    pub oom_killed: bool,
    #[serde(with = "nanos")]
    pub finished_at: SystemTime,
    /// Why the end is not an ordinary one, for example because the shim was killed.
    pub error: Option<String>,
}

/// Write `exit` to `path`, with its file and directory on disk when this returns.
///
/// The name is given before the sync, so that one journal commit carries both and the directory's own sync finds
/// nothing left to do. A crash in between may leave a file that cannot be read: nobody has been told of it then.
pub fn write_exit(path: &Path, exit: &Exit) -> io::Result<()> {
    let parent = path
        .parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the exit file has no directory"))?;
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let text = serde_json::to_vec(exit)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&name)?;
    file.write_all(&text)?;
    std::fs::rename(&name, path)?;
    file.sync_all()?;
    File::open(parent)?.sync_all()
}

/// Read what [`write_exit`] wrote; `None` if there is no such file, or only what a crash left of one.
pub fn read_exit(path: &Path) -> io::Result<Option<Exit>> {
    match std::fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Times travel as nanoseconds since 1970.
pub(crate) mod nanos {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        s.serialize_u64(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
        Ok(UNIX_EPOCH + Duration::from_nanos(u64::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_then_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit.json");
        assert_eq!(read_exit(&path).unwrap(), None);
        let exit = Exit {
            code: 137,
            oom_killed: true,
            finished_at: SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_700_000_000_123_456_789),
            error: None,
        };
        write_exit(&path, &exit).unwrap();
        assert_eq!(read_exit(&path).unwrap(), Some(exit));
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_torn_file_is_not_an_exit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit.json");
        for torn in [&b""[..], b"{\"code\":1"] {
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read_exit(&path).unwrap(), None);
        }
    }
}
