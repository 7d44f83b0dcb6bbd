//! A process that the shim looks after (the container's first one or an exec) and the shim's ends of its streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use shoal_node_drivers_runtime::{Child, Stdio};
use shoal_node_drivers_shim::Attach;

use crate::queue::{Flow, Queue};

pub struct Process {
    /// `None` is the container itself.
    pub exec: Option<String>,
    pub pid: u32,
    pub pidfd: OwnedFd,
    pub tty: bool,
    /// Standard output (or the terminal) and standard error, while they are open.
    pub output: [Option<OwnedFd>; 2],
    /// Not read for now, because a client is slow.
    pub held: [bool; 2],
    pub input: Option<OwnedFd>,
    /// Input that the process has not taken yet.
    pub pending: Queue,
    /// Close the input once `pending` is empty.
    pub closing: bool,
    /// The input ends with the first client that had it.
    pub input_once: bool,
}

/// The shim's ends of a new process's streams.
#[derive(Default)]
pub struct Ends {
    input: Option<OwnedFd>,
    output: [Option<OwnedFd>; 2],
}

/// Make pipes for what is wanted; the rest is the null device.
pub fn streams(wanted: Attach) -> Result<(Stdio, Ends), Errno> {
    let flags = PipeFlags::CLOEXEC;
    let null = || {
        rustix::fs::open(
            "/dev/null",
            OFlags::RDWR | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
    };
    let mut ends = Ends::default();
    let input = if wanted.stdin {
        let (read, write) = pipe_with(flags)?;
        ends.input = Some(write);
        read
    } else {
        null()?
    };
    let mut out = |index: usize, wanted: bool| {
        if !wanted {
            return null();
        }
        let (read, write) = pipe_with(flags)?;
        ends.output[index] = Some(read);
        Ok(write)
    };
    let stdio = Stdio::Files([input, out(0, wanted.stdout)?, out(1, wanted.stderr)?]);
    Ok((stdio, ends))
}

impl Process {
    /// `child` is ready: if it has a terminal, it has reported it.
    pub fn new(exec: Option<String>, child: &mut Child, ends: Ends, input_once: bool) -> io::Result<Self> {
        let (pidfd, console) = (child.pidfd.try_clone()?, child.console.take());
        Self::over(exec, (child.pid, pidfd), console, ends, input_once)
    }

    /// A child of ours by pid and descriptor, whoever made it.
    pub fn over(
        exec: Option<String>,
        (pid, pidfd): (u32, OwnedFd),
        console: Option<OwnedFd>,
        mut ends: Ends,
        input_once: bool,
    ) -> io::Result<Self> {
        let tty = console.is_some();
        if let Some(master) = console {
            // Two descriptors of one terminal, so that each direction is watched for itself.
            ends.input = Some(rustix::io::fcntl_dupfd_cloexec(&master, 0)?);
            ends.output[0] = Some(master);
        }
        for fd in ends.output.iter().chain([&ends.input]).flatten() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(Self {
            exec,
            pid,
            pidfd,
            tty,
            output: ends.output,
            held: [false; 2],
            input: ends.input,
            pending: Queue::default(),
            closing: false,
            input_once,
        })
    }

    /// Write input; what does not go at once stays pending.
    pub fn write(&mut self, bytes: &[u8]) -> Flow {
        let Some(input) = &self.input else {
            return Flow::Gone;
        };
        let flow = self.pending.send(input, &[], bytes);
        self.after_write(flow)
    }

    /// Go on with pending input.
    pub fn flush(&mut self) -> Flow {
        let Some(input) = &self.input else {
            return Flow::Gone;
        };
        let flow = self.pending.flush(input);
        self.after_write(flow)
    }

    fn after_write(&mut self, flow: Flow) -> Flow {
        match flow {
            Flow::Gone => {
                self.pending.clear();
                self.input = None;
            }
            Flow::Empty if self.closing => self.input = None,
            _ => {}
        }
        flow
    }

    pub fn resize(&self, width: u16, height: u16) -> Result<(), Errno> {
        let terminal = self.output[0]
            .as_ref()
            .or(self.input.as_ref())
            .filter(|_| self.tty)
            .ok_or(Errno::NOTTY)?;
        let size = rustix::termios::Winsize {
            ws_col: width,
            ws_row: height,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(terminal.as_fd(), size)
    }

    pub fn signal(&self, signal: i32) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        // SAFETY: takes numbers and a null pointer; any signal number is checked by the kernel.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if done == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Kill and reap it.
    pub fn end(&self) {
        use rustix::process::{WaitId, WaitIdOptions};
        let _ = self.signal(libc::SIGKILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }

    /// Reap it: its exit code as Docker counts. `None` if it has not ended.
    pub fn reap(&self) -> Option<i32> {
        use rustix::process::{WaitId, WaitIdOptions};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options).ok()??;
        status
            .exit_status()
            .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    }
}
