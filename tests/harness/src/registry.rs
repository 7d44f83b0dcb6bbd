//! A real registry (Debian's `docker-registry`) on the loopback of an engine's network, or with TLS at an address of it.

use crate::eventually;
use crate::process::run_ok;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
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
    program: String,
    /// `127.0.0.1:PORT`.
    pub host: String,
    tls: bool,
}

impl Registry {
    /// Started by `command`, which makes a command run where the engine is. `None` where there is no registry to run.
    pub fn start(guests: Guests, command: impl Fn(&str) -> Command) -> Option<Registry> {
        Registry::launch(guests, "127.0.0.1", false, command)
    }

    /// The same at an address that is there where `command` runs.
    pub fn start_at(address: &str, guests: Guests, command: impl Fn(&str) -> Command) -> Option<Registry> {
        Registry::launch(guests, address, false, command)
    }

    /// The same with TLS at another address than loopback: who does not know [`Registry::authority`] does not trust it.
    pub fn start_tls(guests: Guests, address: &str, command: impl Fn(&str) -> Command) -> Option<Registry> {
        Registry::launch(guests, address, true, command)
    }

    /// Another server of the same content under the same address, where `command` runs: another network's loopback.
    pub fn beside(&self, command: impl Fn(&str) -> Command) -> Registry {
        Registry {
            process: serve(&self.program, &self.dir, "log-beside", &command),
            dir: self.dir.clone(),
            program: self.program.clone(),
            host: self.host.clone(),
            tls: self.tls,
        }
        .answers(&command)
    }

    /// The certificate of who signed the registry's.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    fn launch(
        guests: Guests,
        address: &str,
        tls: bool,
        command: impl Fn(&str) -> Command,
    ) -> Option<Registry> {
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
             http: {{addr: \"{address}:{port}\"{}}}\n",
            dir.display(),
            if tls {
                certify(&dir, address)
            } else {
                String::new()
            },
        );
        if guests == Guests::User {
            std::fs::write(dir.join("htpasswd"), HTPASSWD).expect("a file");
            config += &format!(
                "auth: {{htpasswd: {{realm: here, path: {}/htpasswd}}}}\n",
                dir.display()
            );
        }
        std::fs::write(dir.join("config.yml"), config).expect("a file");
        let registry = Registry {
            process: serve(&program, &dir, "log", &command),
            dir,
            program,
            host: format!("{address}:{port}"),
            tls,
        };
        Some(registry.answers(&command))
    }

    fn answers(self, command: &impl Fn(&str) -> Command) -> Registry {
        let probe = format!("{}://{}/v2/", self.scheme(), self.host);
        eventually("the registry answers", Duration::from_secs(20), || {
            let out = command("curl")
                .args(["-s", "-k", "-o", "/dev/null", &probe])
                .output()
                .ok()?;
            out.status.success().then_some(())
        });
        self
    }

    fn scheme(&self) -> &str {
        if self.tls { "https" } else { "http" }
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

fn serve(program: &str, dir: &Path, log: &str, command: &impl Fn(&str) -> Command) -> Child {
    let log = std::fs::File::create(dir.join(log)).expect("a log");
    command(program)
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the registry starts")
}

/// Makes an authority and what it signs for an address; what the registry's configuration says of them.
fn certify(dir: &Path, address: &str) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let openssl = |args: &[&str]| run_ok(Command::new("openssl").args(args));
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let (ca, ca_key) = (at("ca.crt"), at("ca.key"));
    let made = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
        "-out",
        &ca,
        "-keyout",
        &ca_key,
    ];
    openssl(&[&made[..], &key].concat());
    let (own, own_key, asked, more) = (at("own.crt"), at("own.key"), at("own.csr"), at("own.ext"));
    let made = [
        "req",
        "-subj",
        "/CN=registry",
        "-out",
        &asked,
        "-keyout",
        &own_key,
    ];
    openssl(&[&made[..], &key].concat());
    std::fs::write(&more, format!("subjectAltName=IP:{address}\n")).expect("a file");
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        &asked,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-extfile",
        &more,
        "-out",
        &own,
    ]);
    format!(", tls: {{certificate: {own}, key: {own_key}}}")
}
