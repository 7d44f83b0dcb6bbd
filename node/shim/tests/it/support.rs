//! A root file system, a control group parent, and containers in them.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oci_spec::runtime::Spec;
use shoal_node_core_host::ocispec::{self, Input, Process, Rights};
use shoal_node_core_host::{caps, seccomp};
use shoal_node_drivers_cgroup::Hierarchy;
use shoal_node_drivers_runtime::seccomp::cached;
use shoal_node_drivers_shim::{
    Attach, CgroupName, Error, Exec, Exit, Launch, Launcher, LogTarget, Netns, Rootfs, Shim,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

pub const OUTPUT: Attach = Attach {
    stdin: false,
    stdout: true,
    stderr: true,
};
pub const ALL: Attach = Attach {
    stdin: true,
    stdout: true,
    stderr: true,
};

pub struct World {
    pub dir: TempDir,
    pub launcher: Launcher,
    pub parent: String,
    number: u32,
    count: std::cell::Cell<u32>,
}

/// What a process printed and how it ended.
#[derive(Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub exit: Exit,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("shoal-runtime-")
            .tempdir()
            .unwrap();
        let lower = dir.path().join("lower");
        for name in ["bin", "etc", "tmp", "proc", "root", "home/other", "data"] {
            std::fs::create_dir_all(lower.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", lower.join("bin/busybox")).unwrap();
        let list = Command::new("/bin/busybox").arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout)
            .unwrap()
            .lines()
            .filter(|a| *a != "busybox")
        {
            symlink("busybox", lower.join("bin").join(applet)).unwrap();
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nother:x:1000:1000::/home/other:/bin/sh\n";
        std::fs::write(lower.join("etc/passwd"), passwd).unwrap();
        std::fs::write(lower.join("etc/group"), "root:x:0:\nother:x:1000:\n").unwrap();
        // Cases share a process under a plain `cargo test`, and nothing else.
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/shoal-runtime-{}-{number}", std::process::id());
        Hierarchy::detect().unwrap().prepare_parent(&parent).unwrap();
        let launcher = Launcher::open(Path::new(env!("CARGO_BIN_EXE_shoal-shim"))).unwrap();
        Self {
            dir,
            launcher,
            parent,
            number,
            count: 0.into(),
        }
    }

    /// The next container's input: Docker's defaults, no user namespace, a network of its own.
    pub fn input(&self, args: &[&str]) -> Input {
        Input {
            process: Process {
                args: args.iter().map(|a| a.to_string()).collect(),
                env: vec!["PATH=/usr/local/bin:/usr/bin:/bin".into(), "TEST=1".into()],
                cwd: "/".into(),
                tty: false,
                rights: Rights {
                    caps: caps::resolve(&[], &[], false, 40).unwrap(),
                    ..Rights::default()
                },
            },
            hostname: "boxed".into(),
            cgroup_v2: self.is_v2(),
            namespaces: ocispec::Namespaces {
                // Docker's default.
                cgroup: if self.is_v2() {
                    ocispec::Ns::Own
                } else {
                    ocispec::Ns::Host
                },
                ..Default::default()
            },
            ..Input::default()
        }
    }

    pub fn is_v2(&self) -> bool {
        Hierarchy::detect().unwrap().version() == shoal_node_drivers_cgroup::Version::V2
    }

    pub fn launch(&self, input: &Input) -> Launch {
        let n = self.count.get();
        self.count.set(n + 1);
        let id = format!(
            "{:064x}",
            u128::from(std::process::id()) << 32 | u128::from(self.number) << 16 | u128::from(n)
        );
        let at = |name: &str| {
            let path = self.dir.path().join(&id).join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let spec: Spec = ocispec::build(input).unwrap();
        Launch {
            rootfs: Rootfs::Overlay {
                lower: vec![self.dir.path().join("lower")],
                upper: at("upper"),
                work: at("work"),
            },
            netns: Netns::New,
            cgroup: CgroupName {
                parent: self.parent.clone(),
                name: id.clone(),
            },
            log: LogTarget::File {
                local: false,
                attrs: String::new(),
                path: at("").join("log"),
                max_size: 0,
                max_file: 1,
            },
            tty: input.process.tty,
            open_stdin: false,
            stdin_once: false,
            init: None,
            run_dir: at("run"),
            exit_file: at("").join("exit.json"),
            seccomp: Some(self.seccomp(input)),
            runtime: None,
            gate: true,
            spec,
            id,
        }
    }

    fn seccomp(&self, input: &Input) -> PathBuf {
        let host = seccomp::Host {
            caps: &input.process.rights.caps,
            kernel: (6, 1),
        };
        let profile = seccomp::resolve(seccomp::DEFAULT, host).unwrap();
        cached(self.dir.path(), &profile).unwrap()
    }

    /// Run a container to its end with its output attached from the first byte.
    pub async fn run(&self, input: &Input) -> Output {
        self.run_launch(&self.launch(input)).await
    }

    pub async fn run_launch(&self, launch: &Launch) -> Output {
        let (shim, _) = self.launcher.launch(launch, None).await.unwrap();
        let stream = shim.attach(OUTPUT).await.unwrap();
        shim.start().await.unwrap();
        collect(stream, launch.tty, shim.exited()).await
    }

    /// `sh -c script` with Docker's defaults.
    pub async fn sh(&self, script: &str) -> Output {
        self.run(&self.input(&["sh", "-c", script])).await
    }

    /// A container that does nothing until it is killed.
    pub async fn idle(&self, input: Option<Input>) -> (Shim, Launch) {
        let mut launch = self.launch(&input.unwrap_or_else(|| self.input(&["sleep", "1000"])));
        launch.gate = false;
        let (shim, _) = self.launcher.launch(&launch, None).await.unwrap();
        (shim, launch)
    }

    /// An exec with the same rights as the container's first process.
    pub fn exec(&self, id: &str, input: &Input, args: &[&str]) -> Exec {
        let mut process = input.process.clone();
        process.args = args.iter().map(|a| a.to_string()).collect();
        Exec {
            id: id.into(),
            process: ocispec::process(&process).unwrap(),
            tty: false,
            size: None,
            attach: OUTPUT,
            unconfined: false,
        }
    }

    pub async fn exec_sh(&self, shim: &Shim, id: &str, input: &Input, script: &str) -> Output {
        let mut handle = shim
            .exec(self.exec(id, input, &["sh", "-c", script]))
            .await
            .unwrap();
        let stream = handle.stream.take().unwrap();
        collect(stream, false, handle.exited()).await
    }

    /// The message with which a launch is refused.
    pub async fn refused(&self, launch: &Launch) -> (i32, String) {
        match self.launcher.launch(launch, None).await {
            Err(Error::NotStarted(error)) => (error.code, error.message),
            Err(other) => panic!("another error: {other}"),
            Ok(_) => panic!("it started"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let hierarchy = Hierarchy::detect().unwrap();
        let left = hierarchy.list(&self.parent).unwrap();
        hierarchy.remove_parent(&self.parent).unwrap();
        if !std::thread::panicking() {
            assert!(left.is_empty(), "control groups are left: {left:?}");
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let dir = self.dir.path().display().to_string();
            assert!(!mounts.contains(&dir), "a mount is left");
        }
    }
}

/// Read a stream to its end, telling stdout and stderr apart.
pub async fn collect(mut stream: UnixStream, tty: bool, end: impl Future<Output = Exit>) -> Output {
    let mut bytes = Vec::new();
    within(stream.read_to_end(&mut bytes)).await.unwrap();
    let exit = within(end).await;
    let (stdout, stderr) = if tty { (bytes, Vec::new()) } else { split(&bytes) };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output {
        stdout: text(stdout),
        stderr: text(stderr),
        exit,
    }
}

/// Docker's frames, taken apart.
pub fn split(mut bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        match head[0] {
            1 => stdout.extend_from_slice(&rest[..length]),
            2 => stderr.extend_from_slice(&rest[..length]),
            other => panic!("stream {other}"),
        }
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a frame");
    (stdout, stderr)
}

/// Nothing here takes this long, even on a busy or emulated machine.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it takes too long")
}

/// Wait for a condition that the kernel brings about by itself.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about");
}

pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
