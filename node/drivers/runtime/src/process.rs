//! The last steps of every process, first or exec'd: who it is, what it may do, where it is, then the exec.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{PosixRlimitType, Process};
use rustix::fs::{FileType, Mode, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::caps::Sets;
use crate::channel::{self, Step};
use crate::error::{Error, Result, doing, text};
use crate::seccomp::Program;
use crate::{apparmor, lookup, passwd, sys};

/// A process, flattened before the clone so that little is left to do after it.
pub struct Plan {
    args: Vec<String>,
    env: Vec<String>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    cwd: CString,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    umask: u32,
    capabilities: Sets,
    no_new_privileges: bool,
    limits: Vec<(Resource, Rlimit)>,
    seccomp: Option<Program>,
    /// Make the working directory if it is missing (the first process only).
    make_cwd: bool,
    pub oom_score_adj: Option<i32>,
    apparmor: Option<String>,
    /// Where to say so, once it is open.
    pub apparmor_file: Option<OwnedFd>,
}

/// Standard input, output and error of a new process.
pub enum Stdio {
    /// One descriptor each.
    Files([OwnedFd; 3]),
    /// A terminal, made inside the container; its size in characters (width, height).
    Terminal(Option<(u16, u16)>),
}

impl Plan {
    /// `init` goes before the command (`--init`).
    pub fn new(process: &Process, seccomp: Option<Program>, init: Option<&str>, first: bool) -> Result<Self> {
        let mut args: Vec<String> = init.map_or(Vec::new(), |init| vec![init.to_owned(), "--".to_owned()]);
        args.extend(process.args().iter().flatten().cloned());
        if args.is_empty() || (init.is_some() && args.len() == 2) {
            return Err(Error::new("no command specified"));
        }
        let env = process.env().clone().unwrap_or_default();
        let user = process.user();
        let cwd = process
            .cwd()
            .to_str()
            .filter(|cwd| cwd.starts_with('/'))
            .ok_or_else(|| {
                Error::new(format!(
                    "the working directory {:?} is not an absolute path",
                    process.cwd().display().to_string()
                ))
            })?;
        Ok(Self {
            argv: c_strings(&args)?,
            envp: c_strings(&env)?,
            cwd: c_string(cwd)?,
            args,
            env,
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask().unwrap_or(0o022),
            capabilities: Sets::of(process.capabilities().as_ref()).available(),
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            limits: limits(process),
            seccomp,
            make_cwd: first,
            oom_score_adj: process.oom_score_adj(),
            apparmor: process.apparmor_profile().clone().filter(|name| !name.is_empty()),
            apparmor_file: None,
        })
    }

    /// Called by the new process before it leaves the host's /proc.
    pub fn open_attributes(&mut self) -> Result<()> {
        if self.apparmor.is_some() {
            self.apparmor_file = Some(apparmor::at_exec()?);
        }
        Ok(())
    }

    /// The directory to make if it is missing.
    pub fn cwd_to_make(&self) -> Option<&std::path::Path> {
        use std::os::unix::ffi::OsStrExt;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(self.cwd.as_bytes()));
        (self.make_cwd && path != std::path::Path::new("/")).then_some(path)
    }

    /// Connect 0, 1 and 2, and make the terminal (if `terminal` is one) the controlling one.
    pub fn connect(&self, stdio: &[BorrowedFd<'_>; 3], terminal: bool) -> Result<()> {
        let connect = || {
            rustix::stdio::dup2_stdin(stdio[0])?;
            rustix::stdio::dup2_stdout(stdio[1])?;
            rustix::stdio::dup2_stderr(stdio[2])?;
            if terminal {
                sys::set_controlling_terminal(stdio[0])?;
            }
            // The user must be able to open /dev/stdout again; the null device stays the host's.
            for fd in stdio {
                let stat = rustix::fs::fstat(fd)?;
                let null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && !terminal;
                if stat.st_uid != self.uid && !null {
                    match rustix::fs::fchown(fd, Some(Uid::from_raw(self.uid)), None) {
                        Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
                        Err(e) => return Err(e),
                    }
                }
            }
            Ok(())
        };
        connect().map_err(doing("connect standard input and output"))
    }

    /// Become the process. Reports `Ready` and waits for `Go` just before the exec. Returns only with an error.
    pub fn become_process(mut self, socket: BorrowedFd<'_>) -> Error {
        match self.settle() {
            Err(error) => error,
            Ok(program) => self.exec(&program, socket),
        }
    }

    fn settle(&mut self) -> Result<CString> {
        for (resource, limit) in &self.limits {
            rustix::process::setrlimit(*resource, *limit)
                .map_err(|e| Error::os(format_args!("error setting rlimit type {resource:?}"), e))?;
        }
        if !self.env.iter().any(|v| v.starts_with("HOME=")) {
            let home = format!("HOME={}", passwd::home(self.uid));
            self.envp.push(c_string(&home)?);
            self.env.push(home);
        }
        sys::new_session_keyring().map_err(doing("make a session keyring"))?;
        // Without no_new_privs a filter can only be loaded while CAP_SYS_ADMIN is still there.
        if let (Some(seccomp), false) = (&self.seccomp, self.no_new_privileges) {
            seccomp.install().map_err(doing("load the seccomp filter"))?;
        }
        // Root may enter directories that the user may not; the other way round happens on network file systems.
        let entered = match rustix::process::chdir(self.cwd.as_c_str()) {
            Ok(()) => true,
            Err(Errno::ACCESS | Errno::PERM) => false,
            Err(e) => return Err(self.no_cwd(e)),
        };
        self.capabilities.bound()?;
        sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map_err(doing("keep capabilities"))?;
        sys::setgroups(&self.groups).map_err(doing("setgroups"))?;
        sys::setresgid(self.gid).map_err(doing("setgid"))?;
        sys::setresuid(self.uid).map_err(doing("setuid"))?;
        if !entered {
            rustix::process::chdir(self.cwd.as_c_str()).map_err(|e| self.no_cwd(e))?;
        }
        sys::prctl(libc::PR_SET_KEEPCAPS, 0, 0).map_err(doing("drop kept capabilities"))?;
        self.capabilities.take()?;
        // A directory outside the root would have no path from it (CVE-2024-21626).
        match rustix::process::getcwd(Vec::new()) {
            Ok(path) if path.as_bytes().starts_with(b"/") => {}
            _ => {
                return Err(Error::new(
                    "current working directory is outside of container mount namespace root -- possible container \
                     breakout detected",
                ));
            }
        }
        if let (Some(profile), Some(file)) = (&self.apparmor, &self.apparmor_file) {
            apparmor::confine(file.as_fd(), profile)?;
        }
        rustix::process::umask(Mode::from_raw_mode(self.umask));
        // Cleared by the change of user, so it is set here: the process dies with its shim.
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)
            .map_err(doing("tie the process to its shim"))?;
        lookup::program(&self.args[0], &self.env)
    }

    fn exec(&self, program: &CString, socket: BorrowedFd<'_>) -> Error {
        let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
            strings
                .iter()
                .map(|s| s.as_ptr())
                .chain(std::iter::once(std::ptr::null()))
                .collect()
        };
        let (argv, envp) = (pointers(&self.argv), pointers(&self.envp));
        if let Err(error) = channel::report_ready(socket).and_then(|()| channel::wait(socket, Step::Go)) {
            return error;
        }
        if self.no_new_privileges {
            let done = sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
                .map_err(doing("set no_new_privs"))
                .and_then(|_| match &self.seccomp {
                    Some(seccomp) => seccomp.install().map_err(doing("load the seccomp filter")),
                    None => Ok(()),
                });
            if let Err(error) = done {
                return error;
            }
        }
        // SAFETY: both arrays end in null and point into strings that live until the exec.
        let errno = unsafe { sys::execve(program, argv.as_ptr(), envp.as_ptr()) };
        // The program was there and executable, so for Docker the container has started: it says so on its own
        // standard error and ends with 255.
        let message = format!("exec {}: {}\n", program.to_string_lossy(), text(errno));
        let _ = rustix::io::write(rustix::stdio::stderr(), message.as_bytes());
        sys::exit(255)
    }

    fn no_cwd(&self, errno: Errno) -> Error {
        let cwd = self.cwd.to_string_lossy();
        let code = match errno {
            Errno::NOENT => 127,
            Errno::ACCESS => 126,
            _ => 128,
        };
        Error::with_code(
            code,
            format!(
                "chdir to cwd ({cwd:?}) set in config.json failed: {}",
                text(errno)
            ),
        )
    }
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(format!("{text:?} contains a nul byte")))
}

fn c_strings(all: &[String]) -> Result<Vec<CString>> {
    all.iter().map(|s| c_string(s)).collect()
}

fn limits(process: &Process) -> Vec<(Resource, Rlimit)> {
    let value = |v: u64| if v == u64::MAX { None } else { Some(v) };
    process
        .rlimits()
        .iter()
        .flatten()
        .map(|limit| {
            use PosixRlimitType as T;
            let resource = match limit.typ() {
                T::RlimitCpu => Resource::Cpu,
                T::RlimitFsize => Resource::Fsize,
                T::RlimitData => Resource::Data,
                T::RlimitStack => Resource::Stack,
                T::RlimitCore => Resource::Core,
                T::RlimitRss => Resource::Rss,
                T::RlimitNproc => Resource::Nproc,
                T::RlimitNofile => Resource::Nofile,
                T::RlimitMemlock => Resource::Memlock,
                T::RlimitAs => Resource::As,
                T::RlimitLocks => Resource::Locks,
                T::RlimitSigpending => Resource::Sigpending,
                T::RlimitMsgqueue => Resource::Msgqueue,
                T::RlimitNice => Resource::Nice,
                T::RlimitRtprio => Resource::Rtprio,
                T::RlimitRttime => Resource::Rttime,
            };
            (
                resource,
                Rlimit {
                    current: value(limit.soft()),
                    maximum: value(limit.hard()),
                },
            )
        })
        .collect()
}
