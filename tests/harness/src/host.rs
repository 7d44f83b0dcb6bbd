//! One host: a network namespace, a host name, a data root, and a daemon that comes and goes.

use crate::api::{Answer, request};
use crate::process::{family, kill_family, run, run_ok};
use crate::{binary, docker, eventually};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub struct Host {
    pub number: u8,
    pub netns: String,
    pub address: String,
    dir: PathBuf,
    daemon: Option<Child>,
    /// Further arguments for the daemon's next start.
    pub args: Vec<String>,
}

impl Host {
    pub(crate) fn new(number: u8, netns: String, address: String, dir: PathBuf) -> Host {
        std::fs::create_dir_all(&dir).expect("a host's folder");
        Host {
            number,
            netns,
            address,
            dir,
            daemon: None,
            args: Vec::new(),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn data_root(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("shoal.sock")
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The daemon's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// A command that runs on this host: in its network and UTS namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.netns))
            .arg("--")
            .arg(program);
        command
    }

    /// Starts the daemon without waiting for it.
    pub fn spawn(&mut self) {
        assert!(self.daemon.is_none(), "host {} has a daemon already", self.number);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .expect("a log file");
        let config = self.dir.join("daemon.json");
        if !config.exists() {
            std::fs::write(&config, "{}").expect("a configuration file");
        }
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.netns))
            .args(["--", "unshare", "--uts", "--", "sh", "-c"])
            // With the descriptors of a program started by hand.
            .arg("ulimit -Sn 1024; echo \"$0\" > /proc/sys/kernel/hostname; exec \"$@\"")
            .arg(format!("host{}", self.number))
            .arg(binary("shoald"))
            .arg("--data-root")
            .arg(self.data_root())
            .arg("--exec-root")
            .arg(self.dir.join("run"))
            .arg("--pidfile")
            .arg(self.dir.join("shoald.pid"))
            .arg("--config-file")
            .arg(config)
            .args(["-H", &self.url()])
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        self.daemon = Some(command.spawn().expect("the daemon starts"));
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self) {
        self.spawn();
        self.await_ping();
    }

    pub fn await_ping(&mut self) {
        let socket = self.socket();
        eventually(
            &format!("host {} answers a ping", self.number),
            Duration::from_secs(20),
            || {
                if let Some(status) = self.daemon.as_mut().and_then(|d| d.try_wait().ok().flatten()) {
                    let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                    panic!("the daemon of host {} ended with {status}:\n{log}", self.number);
                }
                request(&socket, "GET", "/_ping", None)
                    .ok()
                    .filter(|a| a.status == 200)
            },
        );
    }

    /// SIGKILL of the daemon alone: its containers run on.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// SIGTERM, then wait for the end. Returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut daemon = self.daemon.take()?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).expect("a pid"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        daemon.wait().ok().and_then(|s| s.code())
    }

    /// The host is gone at once: daemon, shims and containers.
    pub fn crash(&mut self) {
        for _ in 0..50 {
            let pids = self.processes();
            if pids.is_empty() {
                break;
            }
            kill_family(&pids);
            if let Some(mut daemon) = self.daemon.take() {
                let _ = daemon.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that lives in the host's network namespace (daemon and shims; containers are their children).
    pub fn processes(&self) -> Vec<u32> {
        let out = run(Command::new("ip").args(["netns", "pids", &self.netns]));
        String::from_utf8_lossy(&out.stdout)
            .split_whitespace()
            .filter_map(|p| p.parse().ok())
            .collect()
    }

    /// Freezes (SIGSTOP) or thaws the daemon, its shims and containers.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen {
            nix::sys::signal::Signal::SIGSTOP
        } else {
            nix::sys::signal::Signal::SIGCONT
        };
        for pid in family(&self.processes()) {
            if let Ok(pid) = i32::try_from(pid) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
            }
        }
    }

    /// The stock docker CLI, talking to this host's daemon over its socket.
    pub fn docker(&self, args: &[&str]) -> Output {
        run(&mut self.docker_command(args))
    }

    pub fn docker_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(docker());
        command
            .env("DOCKER_CONFIG", self.dir.join("docker-config"))
            .args(["-H", &self.url()])
            .args(args);
        command
    }

    /// The same, and it must succeed.
    pub fn docker_ok(&self, args: &[&str]) -> String {
        run_ok(&mut self.docker_command(args))
    }

    /// The same, and it must fail; returns standard error.
    pub fn docker_err(&self, args: &[&str]) -> String {
        let out = self.docker(args);
        assert!(
            !out.status.success(),
            "docker {args:?} succeeded: {}",
            String::from_utf8_lossy(&out.stdout)
        );
        String::from_utf8_lossy(&out.stderr).trim_end().to_owned()
    }

    /// A raw API call.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        request(&self.socket(), method, path, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}\n{}", self.log()))
    }

    /// The daemon's short id, as in the kernel names that are its own.
    pub fn short_id(&self) -> Option<String> {
        let id = std::fs::read_to_string(self.data_root().join("engine-id")).ok()?;
        id.get(..8).map(str::to_owned)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- log of host {} (last lines) ---", self.number);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.crash();
        if let Some(id) = self.short_id() {
            remove_cgroups(Path::new("/sys/fs/cgroup"), &format!("shoal-{id}"));
        }
        run(Command::new("ip").args(["netns", "del", &self.netns]));
    }
}

/// A crashed host leaves its empty groups to its next start's recovery; a host that never starts again has us.
fn remove_cgroups(root: &Path, name: &str) {
    fn rmdir_deep(dir: &Path) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                rmdir_deep(&entry.path());
            }
        }
        for _ in 0..50 {
            if std::fs::remove_dir(dir).is_ok() || !dir.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    rmdir_deep(&root.join(name));
    for controller in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let dir = controller.path().join(name);
        if dir.is_dir() {
            rmdir_deep(&dir);
        }
    }
}
