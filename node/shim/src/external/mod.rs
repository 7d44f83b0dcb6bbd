//! A container that another OCI runtime (runc, crun, …) makes: the shim drives it by its command line and keeps the
//! container's processes like its own.
//!
//! ```text
//! bundle: config.json, rootfs ─▶ RUNTIME create ─▶ pid, terminal ─▶ start … kill, exec … ─▶ RUNTIME delete
//! ```
//! What the runtime leaves behind when it ends (the container's process, an exec's) becomes the shim's own child.

mod bundle;
mod command;
mod console;
pub mod orphans;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process as OciProcess;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use shoal_node_drivers_runtime::Stdio;
use shoal_node_drivers_shim::{Launch, StartError};

pub use bundle::furnish;
use console::Console;

/// The runtime of one container.
pub struct External {
    program: PathBuf,
    args: Vec<String>,
    id: String,
    /// The container's run directory, which is the bundle too.
    dir: PathBuf,
}

/// A process that the runtime has made.
pub struct Made {
    pub pid: u32,
    pub pidfd: OwnedFd,
    /// The master side of its terminal.
    pub console: Option<OwnedFd>,
}

/// What the runtime keeps about its containers.
const STATE: &str = "oci";
const PID_FILE: &str = "oci.pid";
const PROCESS_FILE: &str = "oci-process.json";

impl External {
    pub fn new(launch: &Launch) -> Option<Self> {
        let runtime = launch.runtime.as_ref()?;
        Some(Self {
            program: runtime.path.clone(),
            args: runtime.args.clone(),
            id: launch.id.clone(),
            dir: launch.run_dir.clone(),
        })
    }

    /// Make the container; it waits for [`External::start`].
    pub fn create(&self, stdio: Stdio) -> Result<Made, StartError> {
        // Of a run whose shim was killed.
        let _ = std::fs::remove_dir_all(self.dir.join(STATE));
        let bundle = self.dir.display().to_string();
        self.make(&["create", "--bundle", &bundle], stdio)
    }

    pub fn start(&self) -> Result<(), StartError> {
        self.run(&["start", &self.id], None)
    }

    pub fn kill(&self, signal: i32) -> Result<(), String> {
        let signal = signal.to_string();
        self.run(&["kill", &self.id, &signal], None)
            .map_err(|e| e.message)
    }

    pub fn exec(&self, process: &OciProcess, stdio: Stdio) -> Result<Made, StartError> {
        let path = self.dir.join(PROCESS_FILE);
        let text = serde_json::to_vec(process).map_err(because("describe the process"))?;
        std::fs::write(&path, text).map_err(because("describe the process"))?;
        let made = self.make(
            &["exec", "--detach", "--process", &path.display().to_string()],
            stdio,
        );
        let _ = std::fs::remove_file(&path);
        made
    }

    /// Whatever is left of it.
    pub fn delete(&self) {
        if let Err(error) = self.run(&["delete", "--force", &self.id], None) {
            eprintln!("shoal-shim: {}", error.message);
        }
    }

    /// A call that leaves a process behind.
    fn make(&self, call: &[&str], stdio: Stdio) -> Result<Made, StartError> {
        let pid_file = self.dir.join(PID_FILE);
        let _ = std::fs::remove_file(&pid_file);
        let pid_path = pid_file.display().to_string();
        let mut call = call.to_vec();
        call.extend(["--pid-file", &pid_path]);
        let (files, console) = match stdio {
            Stdio::Files(files) => (Some(files), None),
            Stdio::Terminal(size) => {
                call.extend(["--console-socket", console::NAME]);
                let console = Console::listen(&self.dir, size).map_err(because("listen for a terminal"))?;
                (None, Some(console))
            }
        };
        call.push(&self.id);
        self.run(&call, files)?;
        let pid = std::fs::read_to_string(&pid_file).map_err(because("read the process's number"))?;
        let number = pid.trim().parse().ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| because("read the process's number")(&pid))?;
        // Our child now, so the number stays its own until it is reaped here.
        let pidfd = pidfd_open(number, PidfdFlags::empty()).map_err(because("watch the process"))?;
        let console = console.map(Console::receive).transpose();
        Ok(Made {
            pid: number.as_raw_nonzero().get().unsigned_abs(),
            pidfd,
            console: console.map_err(because("receive the terminal"))?,
        })
    }

    fn run(&self, call: &[&str], stdio: Option<[OwnedFd; 3]>) -> Result<(), StartError> {
        command::run(self, call, stdio)
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

fn because<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> StartError {
    move |error| StartError {
        code: 128,
        message: format!("failed to create shim task: {what}: {error}"),
    }
}
