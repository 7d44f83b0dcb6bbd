//! The one posix_spawn: a shim in its own session with a control socket on 3 and perhaps a network namespace on 4.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Where the shim finds its control connection.
const CONTROL: i32 = 3;
/// Where the shim finds its network namespace, if it was given one.
const NETNS: i32 = 4;

/// Start `program` (a descriptor of the shim's binary) and return its pid.
pub fn spawn(
    program: BorrowedFd<'_>,
    id: &str,
    control: BorrowedFd<'_>,
    netns: Option<BorrowedFd<'_>>,
    log: BorrowedFd<'_>,
) -> io::Result<i32> {
    // Sources well above the targets, so that no dup2 below overwrites the source of a later one, nor the program: a
    // process that was started with few descriptors has it at 3 or 4.
    let program = fcntl_dupfd_cloexec(program, 10)?;
    let control = fcntl_dupfd_cloexec(control, 10)?;
    let netns = netns.map(|fd| fcntl_dupfd_cloexec(fd, 10)).transpose()?;
    let log = fcntl_dupfd_cloexec(log, 10)?;
    let null: OwnedFd = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into();
    let null = fcntl_dupfd_cloexec(&null, 10)?;

    let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    let arg0 = c"shoal-shim";
    let arg1 = CString::new(id)?;
    let argv = [
        arg0.as_ptr().cast_mut(),
        arg1.as_ptr().cast_mut(),
        std::ptr::null_mut(),
    ];
    let envp: [*mut libc::c_char; 1] = [std::ptr::null_mut()];

    let mut actions = Actions::new()?;
    actions.dup2(null.as_raw_fd(), 0)?;
    actions.dup2(null.as_raw_fd(), 1)?;
    actions.dup2(log.as_raw_fd(), 2)?;
    actions.dup2(control.as_raw_fd(), CONTROL)?;
    if let Some(netns) = &netns {
        actions.dup2(netns.as_raw_fd(), NETNS)?;
    }
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: every pointer is to a live, nul-terminated or null-terminated array; both objects are initialised.
    check(unsafe {
        libc::posix_spawn(
            &mut pid,
            CStr::as_ptr(&path),
            &actions.0,
            &attributes.0,
            argv.as_ptr(),
            envp.as_ptr(),
        )
    })?;
    Ok(pid)
}

fn check(code: i32) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(code))
    }
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = std::mem::MaybeUninit::uninit();
        // SAFETY: init fills the object; it is used only if that succeeded.
        unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(Self(actions.assume_init()))
        }
    }

    fn dup2(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: the object was initialised in `new`.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the object was initialised in `new` and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// A new session, no blocked signal. Handlers go with the exec, and the shim sets its own where it matters; only an
    /// ignored SIGCHLD would harm it.
    fn new() -> io::Result<Self> {
        let mut attributes = std::mem::MaybeUninit::uninit();
        // SAFETY: init fills the object; the setters only read the sets, which are filled before.
        unsafe {
            check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            let mut attributes = Self(attributes.assume_init());
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            check(libc::posix_spawnattr_setsigmask(&mut attributes.0, &set))?;
            libc::sigaddset(&mut set, libc::SIGCHLD);
            check(libc::posix_spawnattr_setsigdefault(&mut attributes.0, &set))?;
            let flags =
                libc::POSIX_SPAWN_SETSID as i32 | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
            check(libc::posix_spawnattr_setflags(
                &mut attributes.0,
                flags as libc::c_short,
            ))?;
            Ok(attributes)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the object was initialised in `new` and is not used again.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}
