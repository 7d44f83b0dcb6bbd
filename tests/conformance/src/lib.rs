//! Conformance: what Docker's clients expect of one daemon, as black-box cases.
//!
//! A case talks through the stock docker CLI, docker-py or raw HTTP, never through our own API types. Each one is first
//! proved on the reference engine: `SHOAL_CONFORMANCE_HOST=unix:///path cargo test -p shoal-tests-conformance` runs the
//! same cases against whatever listens there. Without it each case gets a shoald of its own on a host of its own.

mod answers;
mod differences;
pub mod schema;
mod story;

pub use answers::{Told, differences};
pub use differences::Differences;
pub use story::{Step, Story, tar};

use shoal_tests_harness::{Answer, Guests, Host, Registry, World, busybox_tar, docker, request, run, run_ok};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The image that the cases use: busybox, a user `app`, `/www`.
pub const IMAGE: &str = "shoaltest:latest";

/// An engine under test, with [`IMAGE`] in it.
pub struct Engine {
    // Dropped in this order: the daemon goes before its switch.
    host: Option<Host>,
    _world: Option<World>,
    url: String,
    /// Prefix for names, so that cases share the reference engine without meeting.
    pub prefix: String,
}

/// A small web server; gone when dropped.
pub struct Web {
    process: std::process::Child,
    pub port: u16,
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Engine {
    pub fn start() -> Engine {
        let engine = match std::env::var("SHOAL_CONFORMANCE_HOST") {
            Ok(url) => Engine::at(url),
            Err(_) => Engine::ours(),
        };
        if !engine.docker(&["image", "inspect", IMAGE]).status.success() {
            engine.ok(&[
                "import",
                "--change",
                "ENV FROM_IMAGE=yes",
                "--change",
                "CMD [\"sh\"]",
                &busybox_tar().display().to_string(),
                IMAGE,
            ]);
        }
        engine
    }

    /// Our own daemon on a host of its own, whatever is under test; without [`IMAGE`].
    pub fn ours() -> Engine {
        let mut world = World::new();
        let mut host = world.host();
        host.start();
        Engine {
            url: host.url(),
            host: Some(host),
            _world: Some(world),
            prefix: prefix(),
        }
    }

    /// The reference engine, for cases about both side by side: `SHOAL_REFERENCE`; `None` where there is none.
    pub fn reference() -> Option<Engine> {
        let url = std::env::var("SHOAL_REFERENCE")
            .ok()
            .filter(|url| !url.is_empty());
        if url.is_none() {
            eprintln!("left out: SHOAL_REFERENCE names no reference engine");
        }
        url.map(Engine::at)
    }

    fn at(url: String) -> Engine {
        Engine {
            host: None,
            _world: None,
            url,
            prefix: prefix(),
        }
    }

    /// Whether this is our own daemon, for the few cases about what Docker cannot do.
    pub fn host(&mut self) -> Option<&mut Host> {
        self.host.as_mut()
    }

    pub fn is_reference(&self) -> bool {
        self.host.is_none()
    }

    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.url.trim_start_matches("unix://"))
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_of(&docker());
        command.args(["-H", &self.url]).args(args);
        command
    }

    /// A program that runs on the engine's network. The reference engine's has a name, if it is not the test's own:
    /// `SHOAL_CONFORMANCE_NETNS`.
    pub fn command_of(&self, program: &str) -> Command {
        match (&self.host, std::env::var("SHOAL_CONFORMANCE_NETNS")) {
            (Some(host), _) => host.command(program),
            (None, Ok(netns)) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net=/run/netns/{netns}"))
                    .arg("--")
                    .arg(program);
                command
            }
            (None, Err(_)) => Command::new(program),
        }
    }

    /// A registry on the engine's loopback; `None` where there is none to run.
    pub fn registry(&self, guests: Guests) -> Option<Registry> {
        Registry::start(guests, |program| self.command_of(program))
    }

    /// A registry with TLS at the host's own address. Only our own hosts have one; `None` too where there is none to run.
    pub fn registry_with_tls(&self, guests: Guests) -> Option<Registry> {
        let address = &self.host.as_ref()?.address;
        Registry::start_tls(guests, address, |program| self.command_of(program))
    }

    /// Something that answers every GET with this JSON, on the engine's loopback: its port.
    pub fn web(&self, body: &str) -> Web {
        let answer = "def do_GET(s):\n  s.send_response(200);s.send_header('Content-Type','application/json');s.end_headers();s.wfile.write(sys.argv[1].encode())\n";
        self.server(
            &format!("class H(http.server.BaseHTTPRequestHandler):\n {answer}"),
            body,
        )
    }

    /// The files of a folder, on the engine's loopback.
    pub fn files(&self, folder: &std::path::Path) -> Web {
        let handler = "class H(http.server.SimpleHTTPRequestHandler):\n \
            def __init__(s,*a): super().__init__(*a,directory=sys.argv[1])\n";
        self.server(handler, &folder.display().to_string())
    }

    fn server(&self, handler: &str, argument: &str) -> Web {
        let script = format!(
            "import http.server,sys\n{handler} def log_message(s,*a): pass\n\
            w=http.server.HTTPServer(('127.0.0.1',0),H)\nprint(w.server_port,flush=True)\nw.serve_forever()\n"
        );
        let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut process = self
            .command_of(&python)
            .args(["-c", &script, argument])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a port");
        Web {
            process,
            port: line.trim().parse().expect("a port"),
        }
    }

    pub fn docker(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    pub fn ok(&self, args: &[&str]) -> String {
        run_ok(&mut self.command(args))
    }

    /// Exit code, standard output, standard error.
    pub fn code(&self, args: &[&str]) -> (i32, String, String) {
        let out = self.docker(args);
        let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end().to_owned();
        (
            out.status.code().unwrap_or(-1),
            text(&out.stdout),
            text(&out.stderr),
        )
    }

    /// `docker run --rm IMAGE sh -c SCRIPT`, which must succeed.
    pub fn sh(&self, options: &[&str], script: &str) -> String {
        let mut args = vec!["run", "--rm"];
        args.extend(options);
        args.extend([IMAGE, "sh", "-c", script]);
        self.ok(&args)
    }

    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    pub fn api(&self, method: &str, path: &str, body: Option<&serde_json::Value>) -> Answer {
        request(&self.socket(), method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Runs a Python script with docker-py, which finds the engine through DOCKER_HOST.
    pub fn python(&self, script: &str) -> String {
        let python = std::env::var("SHOAL_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        run_ok(
            Command::new(python)
                .args(["-c", script])
                .env("DOCKER_HOST", &self.url)
                .env("P", &self.prefix),
        )
    }
}

/// Of each engine its own: cases that share the reference engine look only at what is theirs.
fn prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "c{}n{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
