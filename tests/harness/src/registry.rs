//! A real registry (Debian's `docker-registry`) on the loopback of an engine's network.

use crate::eventually;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Whom a registry lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    Everybody,
    /// `user` with the password `secret`.
    User,
}

/// `user:secret` as htpasswd writes it; the registry takes bcrypt only.
const HTPASSWD: &str = "user:$2b$04$UE08oySic/ZFpy//VmfwK.XFoyu6IievBgqbNpVtARHwTiAW7Sd4O\n";

/// Gone with all that was pushed when dropped.
pub struct Registry {
    process: Child,
    dir: PathBuf,
    /// `127.0.0.1:PORT`.
    pub host: String,
}

impl Registry {
    /// Started by `command`, which makes a command run where the engine is. `None` where there is no registry to run.
    pub fn start(guests: Guests, command: impl Fn(&str) -> Command) -> Option<Registry> {
        let program = std::env::var("SHOAL_TEST_REGISTRY")
            .ok()
            .filter(|path| !path.is_empty());
        let Some(program) = program else {
            eprintln!("left out: no docker-registry on this machine");
            return None;
        };
        // Free here is most likely free there.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let dir = std::env::temp_dir().join(format!("shoal-registry-{}-{port}", std::process::id()));
        std::fs::create_dir_all(dir.join("data")).expect("a folder");
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"127.0.0.1:{port}\"}}\n",
            dir.display()
        );
        if guests == Guests::User {
            std::fs::write(dir.join("htpasswd"), HTPASSWD).expect("a file");
            config += &format!(
                "auth: {{htpasswd: {{realm: here, path: {}/htpasswd}}}}\n",
                dir.display()
            );
        }
        std::fs::write(dir.join("config.yml"), config).expect("a file");
        let log = std::fs::File::create(dir.join("log")).expect("a log");
        let process = command(&program)
            .arg("serve")
            .arg(dir.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the registry starts");
        let registry = Registry {
            process,
            dir,
            host: format!("127.0.0.1:{port}"),
        };
        let probe = format!("http://{}/v2/", registry.host);
        eventually("the registry answers", Duration::from_secs(20), || {
            let out = command("curl")
                .args(["-s", "-o", "/dev/null", &probe])
                .output()
                .ok()?;
            out.status.success().then_some(())
        });
        Some(registry)
    }

    /// A name in it.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
