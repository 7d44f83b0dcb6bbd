//! An engine in this process, and what a client would do with it.

use futures_util::{StreamExt, stream};
use shoal_api_backend::{
    Bytes, CreateContainer, Execs as _, Images as _, ImportImage, Logs, RemoveContainer, WaitCondition,
};
use shoal_api_types::container::{Config as Wish, CreateRequest, HostConfig};
use shoal_api_types::exec::{ExecCreateRequest, ExecStartRequest};
use shoal_node_drivers_cgroup::Hierarchy;
use shoal_node_drivers_network::{Links, Nft, table_name};
use shoal_node_engine::{Config, Engine};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

pub type Result<T> = std::result::Result<T, shoal_api_backend::Error>;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An engine that can be killed and started again.
pub struct Lab {
    runtime: Option<Runtime>,
    engine: Option<Engine>,
    pub config: Config,
    dir: tempfile::TempDir,
}

impl Lab {
    /// With the image `bb`.
    pub fn new() -> Lab {
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new()
            .prefix("shoal-engine-")
            .tempdir_in("/var/tmp")
            .expect("a directory");
        let mut config = Config::new(dir.path().join("data"), dir.path().join("exec"), shim());
        config.bridge.name = format!("en{number:x}");
        let (a, b) = (200 + number % 40, number / 40 % 250);
        config.bridge.address = Some(format!("10.{a}.{b}.1/24").parse().expect("an address"));
        let mut lab = Lab {
            runtime: None,
            engine: None,
            config,
            dir,
        };
        lab.up();
        lab.run(async |engine| {
            let request = ImportImage {
                source: "-".into(),
                repo: "bb".into(),
                tag: String::new(),
                message: String::new(),
                changes: vec!["ENV PATH=/bin".into()],
                platform: None,
                body: Box::pin(stream::iter([Ok(Bytes::from(root_tar()))])),
            };
            let mut lines = engine.images.import(request).await.expect("accepted");
            while let Some(line) = lines.next().await {
                line.expect("imported");
            }
        });
        lab
    }

    pub fn up(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        self.engine = Some(
            runtime
                .block_on(Engine::start(self.config.clone()))
                .expect("the engine starts"),
        );
        self.runtime = Some(runtime);
    }

    /// As SIGKILL: every task of the daemon ends where it is.
    pub fn crash(&mut self) {
        self.engine = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(5));
        }
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is up")
    }

    pub fn run<'a, T, F: Future<Output = T>>(&'a self, work: impl FnOnce(&'a Engine) -> F) -> T {
        self.runtime
            .as_ref()
            .expect("it is up")
            .block_on(work(self.engine()))
    }

    pub fn data(&self) -> &Path {
        &self.config.data_root
    }

    /// Creates and starts; answers the id.
    pub fn start(&self, name: &str, wish: Wish, host: HostConfig) -> Result<String> {
        self.run(async |engine| {
            let request = CreateRequest {
                config: wish,
                host_config: host,
                ..CreateRequest::default()
            };
            let id = engine
                .containers
                .create(CreateContainer {
                    name: name.into(),
                    platform: None,
                    request,
                    of_task: false,
                })
                .await?
                .id;
            engine.containers.start(&id).await?;
            Ok(id)
        })
    }

    pub fn create(&self, name: &str, wish: Wish, host: HostConfig) -> Result<String> {
        self.run(async |engine| {
            let request = CreateRequest {
                config: wish,
                host_config: host,
                ..CreateRequest::default()
            };
            Ok(engine
                .containers
                .create(CreateContainer {
                    name: name.into(),
                    platform: None,
                    request,
                    of_task: false,
                })
                .await?
                .id)
        })
    }

    pub fn wait(&self, id: &str) -> i64 {
        self.run(async |engine| {
            let mut answer = engine
                .containers
                .wait(id, WaitCondition::NotRunning)
                .await
                .expect("known");
            answer
                .next()
                .await
                .expect("an answer")
                .expect("no error")
                .status_code
        })
    }

    /// Runs to the end; answers the code and what it printed.
    pub fn output(&self, script: &str, host: HostConfig) -> (i64, String) {
        self.output_as(sh(script), host)
    }

    pub fn output_as(&self, wish: Wish, host: HostConfig) -> (i64, String) {
        let id = self.start("", wish, host).expect("started");
        let code = self.wait(&id);
        let text = self.logs(&id);
        self.remove(&id);
        (code, text)
    }

    pub fn logs(&self, id: &str) -> String {
        self.run(async |engine| {
            let wish = Logs {
                stdout: true,
                stderr: true,
                ..Logs::default()
            };
            let mut frames = engine.containers.logs(id, wish).await.expect("readable").frames;
            let mut bytes = Vec::new();
            while let Some(piece) = frames.next().await {
                bytes.extend_from_slice(&piece.expect("a piece"));
            }
            unframed(&bytes)
        })
    }

    /// Runs a command in a container; answers its code and output.
    pub fn exec(&self, id: &str, words: &[&str]) -> (i64, String) {
        self.run(async |engine| {
            let request = ExecCreateRequest {
                cmd: list(words).into(),
                attach_stdout: true,
                attach_stderr: true,
                ..ExecCreateRequest::default()
            };
            let exec = engine.execs.create(id, request).await.expect("created");
            let mut attached = engine
                .execs
                .start(&exec, ExecStartRequest::default())
                .await
                .expect("started");
            let mut bytes = Vec::new();
            attached.stream.read_to_end(&mut bytes).await.expect("read");
            for _ in 0..200 {
                if let Some(code) = engine.execs.inspect(&exec).await.expect("known").exit_code {
                    return (code, unframed(&bytes));
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            panic!("the exec does not end");
        })
    }

    pub fn remove(&self, id: &str) {
        let options = RemoveContainer {
            force: true,
            volumes: true,
            link: false,
        };
        self.run(async |engine| engine.containers.remove(id, options).await)
            .expect("removed");
    }

    pub fn status(&self, id: &str) -> String {
        self.run(async |engine| {
            engine
                .containers
                .inspect(id, false)
                .await
                .expect("known")
                .state
                .status
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.engine.is_none() {
            self.up();
        }
        let ids: Vec<String> = self.run(async |engine| {
            let all = shoal_api_backend::ListContainers {
                all: true,
                ..Default::default()
            };
            engine
                .containers
                .list(all)
                .await
                .map(|l| l.into_iter().map(|c| c.id.clone()).collect())
                .unwrap_or_default()
        });
        for id in ids {
            let options = RemoveContainer {
                force: true,
                volumes: true,
                link: false,
            };
            let _ = self.run(async |engine| engine.containers.remove(&id, options).await);
        }
        let sid = self.engine().sid().to_string();
        self.crash();
        let links = Links::open().expect("links");
        let _ = links.unplug(&self.config.bridge.name);
        let _ = Nft::open(table_name(&sid)).and_then(|nft| nft.delete_table());
        if let Ok(hierarchy) = Hierarchy::detect() {
            let _ = hierarchy.remove_parent(&hierarchy.parent_for(&sid));
        }
        let _ = self.dir.path();
    }
}

/// Docker's 8-byte frames taken away.
fn unframed(mut bytes: &[u8]) -> String {
    let mut out = Vec::new();
    while bytes.len() >= 8 {
        let length = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
        out.extend_from_slice(&bytes[8..8 + length]);
        bytes = &bytes[8 + length..];
    }
    String::from_utf8(out).expect("text")
}

pub fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| w.to_string()).collect()
}

pub fn cmd(words: &[&str]) -> Wish {
    Wish {
        image: "bb".into(),
        cmd: list(words).into(),
        ..Wish::default()
    }
}

pub fn sh(script: &str) -> Wish {
    cmd(&["sh", "-c", script])
}

/// Built once beside this test.
fn shim() -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let test = std::env::current_exe().expect("a path");
        let target = test.parent().and_then(Path::parent).expect("…/debug/deps/it");
        let path = target.join("shoal-shim");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "-q", "-p", "shoal-node-shim"])
            .status()
            .expect("cargo runs");
        assert!(status.success() && path.exists(), "shoal-shim is built");
        path
    };
    SHIM.get_or_init(build).clone()
}

/// `/bin/busybox` with its usual names, and users.
pub fn root_tar() -> Vec<u8> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|p| std::fs::read(p).ok())
        .expect("busybox-static");
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |path: &str, kind: tar::EntryType, mode: u32, uid: u64, data: &[u8], link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(uid);
        header.set_size(data.len() as u64);
        match link {
            Some(target) => tar.append_link(&mut header, path, target).expect("appended"),
            None => tar.append_data(&mut header, path, data).expect("appended"),
        }
    };
    use tar::EntryType::{Directory, Link, Regular};
    for dir in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        put(dir, Directory, 0o755, 0, &[], None);
    }
    put("data", Directory, 0o750, 7, &[], None);
    put("data/seed", Regular, 0o640, 7, b"from the image\n", None);
    put(
        "etc/passwd",
        Regular,
        0o644,
        0,
        b"root:x:0:0:root:/root:/bin/sh\nweb:x:101:102::/srv:/bin/sh\n",
        None,
    );
    put(
        "etc/group",
        Regular,
        0o644,
        0,
        b"root:x:0:\nwww:x:102:\naudio:x:29:web\n",
        None,
    );
    put("etc/noexec", Regular, 0o644, 0, b"text", None);
    put("bin/busybox", Regular, 0o755, 0, &busybox, None);
    for name in [
        "sh", "true", "sleep", "cat", "echo", "id", "env", "pwd", "hostname", "ls", "httpd", "ip", "grep",
        "mount", "kill", "stat", "wget",
    ] {
        put(&format!("bin/{name}"), Link, 0o755, 0, &[], Some("bin/busybox"));
    }
    tar.into_inner().expect("a tar")
}
