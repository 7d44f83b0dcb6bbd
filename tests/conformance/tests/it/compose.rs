//! Docker Compose 2: a project with health checks, conditions, volumes and profiles, from `up` to `down -v`.

use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{run, run_ok};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Three services that wait for each other, and a fourth that only a profile starts.
const PROJECT: &str = r#"
services:
  db:
    image: IMAGE
    command: ["sh", "-c", "echo db starts; sleep 0.5; echo made > /data/ready; exec sleep 1000"]
    stop_signal: SIGKILL
    volumes: ["data:/data"]
    environment: {KIND: database}
    healthcheck:
      test: ["CMD", "test", "-f", "/data/ready"]
      interval: 300ms
      timeout: 2s
      retries: 40
  migrate:
    image: IMAGE
    command: ["sh", "-c", "cat /data/ready; echo migrated > /data/schema"]
    volumes: ["data:/data"]
    depends_on:
      db: {condition: service_healthy}
  web:
    image: IMAGE
    command: ["sh", "-c", "echo web sees $$(cat /data/schema); exec httpd -f -p 80 -h /data"]
    stop_signal: SIGKILL
    volumes:
      - {type: volume, source: data, target: /data, read_only: true}
    configs: [{source: note, target: /etc/note}]
    depends_on:
      migrate: {condition: service_completed_successfully}
      db: {condition: service_healthy}
  shell:
    image: IMAGE
    profiles: [debug]
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
configs:
  note: {content: "a note"}
volumes:
  data: {}
"#;

struct Project<'a> {
    engine: &'a Engine,
    name: String,
    dir: PathBuf,
}

impl<'a> Project<'a> {
    /// None, with the reason on standard error, where this machine has no Compose 2.
    fn new(engine: &'a Engine, what: &str, file: &str) -> Option<Project<'a>> {
        let Some(plugin) = plugin() else {
            eprintln!("LEFT OUT: no docker-compose plugin on this machine (tests/tools fetches one)");
            return None;
        };
        let name = engine.name(what);
        let dir = std::env::temp_dir().join(format!("shoal-compose-{name}"));
        std::fs::create_dir_all(dir.join("config/cli-plugins")).expect("a folder");
        std::fs::write(dir.join("compose.yaml"), file.replace("IMAGE", IMAGE)).expect("a project");
        let link = dir.join("config/cli-plugins/docker-compose");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(plugin, link).expect("a link");
        Some(Project { engine, name, dir })
    }

    fn command(&self, args: &[&str]) -> Command {
        let file = self.dir.join("compose.yaml").display().to_string();
        let mut all = vec!["compose", "--ansi", "never", "-p", &self.name, "-f", &file];
        all.extend(args);
        let mut command = self.engine.command(&all);
        command.env("DOCKER_CONFIG", self.dir.join("config"));
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        run_ok(&mut self.command(args))
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// `service state health exit-code`, sorted.
    fn states(&self) -> Vec<String> {
        let out = self.ok(&["ps", "-a", "--format", "json"]);
        let mut states: Vec<String> = out
            .lines()
            .map(|line| {
                let one: serde_json::Value = serde_json::from_str(line).expect("JSON");
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                format!(
                    "{} {} {} {}",
                    text("Service"),
                    text("State"),
                    text("Health"),
                    one["ExitCode"]
                )
            })
            .collect();
        states.sort();
        states
    }

    fn mine(&self, what: &str) -> String {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let all: &[&str] = if what == "container" { &["-a"] } else { &[] };
        let mut args = vec![what, "ls", "-q", "--filter", &filter];
        args.extend(all);
        self.engine.ok(&args)
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        if self.dir.join("compose.yaml").exists() {
            let _ = self.run(&["--profile", "*", "down", "-v", "-t", "0"]);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn plugin() -> Option<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let known = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"];
    std::env::var("SHOAL_TEST_COMPOSE")
        .ok()
        .filter(|p| !p.is_empty())
        .map(PathBuf::from)
        .into_iter()
        .chain([Path::new(&home).join(".docker/cli-plugins/docker-compose")])
        .chain(known.iter().map(|dir| Path::new(dir).join("docker-compose")))
        .find(|p| p.exists())
}

#[test]
fn a_project_comes_up_in_order_and_goes_down_whole() {
    let e = Engine::start();
    let Some(p) = Project::new(&e, "shop", PROJECT) else {
        return;
    };
    p.ok(&["up", "-d", "--wait-timeout", "60"]);
    assert_eq!(
        p.states(),
        ["db running healthy 0", "migrate exited  0", "web running  0"]
    );
    // Each waited for what it depends on: the second read what the first made, the third what the second made.
    let log = |service: &str| p.ok(&["logs", "--no-log-prefix", service]);
    assert_eq!(log("db"), "db starts");
    assert_eq!(log("migrate"), "made");
    assert_eq!(log("web"), "web sees migrated");
    assert!(p.ok(&["logs", "db"]).contains("db-1"), "with the name in front");
    // Services reach each other on the project's network; a configuration of the project is a file of the container.
    let web = p.ok(&["ps", "-q", "web"]);
    let ip = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let url = format!("http://{}/schema", e.ok(&["inspect", "-f", ip, &web]));
    assert_eq!(p.ok(&["exec", "-T", "db", "wget", "-q", "-O-", &url]), "migrated");
    assert_eq!(p.ok(&["exec", "-T", "web", "cat", "/etc/note"]), "a note");
    assert_eq!(
        p.ok(&["exec", "-T", "-e", "X=1", "db", "sh", "-c", "echo $KIND $X"]),
        "database 1"
    );
    let out = p.run(&["exec", "-T", "web", "touch", "/data/x"]);
    assert!(!out.status.success(), "the volume is read-only there");
    assert_eq!(
        p.run(&["exec", "-T", "db", "sh", "-c", "exit 7"]).status.code(),
        Some(7)
    );
    assert_eq!(p.ok(&["ps", "--services", "--status", "running"]), "db\nweb");
    assert!(p.ok(&["top", "db"]).contains("sleep 1000"));
    assert!(p.ok(&["images", "-q"]).len() >= 12);

    // Up again changes nothing that runs.
    let before = p.ok(&["ps", "-q", "--no-trunc"]);
    p.ok(&["up", "-d"]);
    assert_eq!(p.ok(&["ps", "-q", "--no-trunc"]), before);

    p.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(log("web"), "web sees migrated\nweb sees migrated");
    p.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(p.ok(&["ps", "--services", "--status", "running"]), "db");
    p.ok(&["start", "web"]);
    p.ok(&["pause", "web"]);
    assert!(
        p.states().contains(&"web paused  0".to_owned()),
        "{:?}",
        p.states()
    );
    p.ok(&["unpause", "web"]);
    p.ok(&["kill", "web"]);
    assert!(
        p.states().contains(&"web exited  137".to_owned()),
        "{:?}",
        p.states()
    );

    assert_eq!(p.mine("volume"), format!("{}_data", p.name));
    p.ok(&["down", "-t", "0"]);
    assert_eq!(
        (p.mine("container"), p.mine("network")),
        (String::new(), String::new())
    );
    assert_eq!(p.mine("volume"), format!("{}_data", p.name), "kept without -v");
    p.ok(&["down", "-v"]);
    assert_eq!(p.mine("volume"), "");
}

#[test]
fn profiles_scale_and_one_off_runs() {
    let e = Engine::start();
    let Some(p) = Project::new(&e, "prof", PROJECT) else {
        return;
    };
    p.ok(&[
        "--profile",
        "debug",
        "up",
        "-d",
        "--scale",
        "shell=2",
        "db",
        "shell",
    ]);
    assert_eq!(p.ok(&["--profile", "debug", "ps", "--services"]), "db\nshell");
    assert_eq!(p.states().iter().filter(|s| *s == "shell running  0").count(), 2);
    // A one-off run's output and code are the command's.
    let out = p.run(&[
        "run",
        "--rm",
        "-T",
        "--no-deps",
        "db",
        "sh",
        "-c",
        "echo one-off; exit 5",
    ]);
    assert_eq!(out.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&out.stdout).contains("one-off"));
    p.ok(&[
        "--profile",
        "debug",
        "up",
        "-d",
        "--scale",
        "shell=1",
        "--no-deps",
        "shell",
    ]);
    assert_eq!(p.states().iter().filter(|s| s.starts_with("shell")).count(), 1);
    // `cp` goes through the archive calls.
    std::fs::write(p.dir.join("note"), "from outside\n").expect("a file");
    p.ok(&["cp", &p.dir.join("note").display().to_string(), "db:/tmp/note"]);
    assert_eq!(p.ok(&["exec", "-T", "db", "cat", "/tmp/note"]), "from outside");
    p.ok(&["--profile", "debug", "down", "-v", "-t", "0"]);
    assert_eq!(p.mine("container"), "");
}

#[test]
fn a_dependency_that_fails_stops_those_that_wait_for_it() {
    let e = Engine::start();
    let file = r#"
services:
  first:
    image: IMAGE
    command: ["sh", "-c", "exit 3"]
  second:
    image: IMAGE
    command: ["sleep", "1000"]
    depends_on:
      first: {condition: service_completed_successfully}
"#;
    let Some(p) = Project::new(&e, "fails", file) else {
        return;
    };
    let out = p.run(&["up", "-d"]);
    assert!(!out.status.success());
    let words = String::from_utf8_lossy(&out.stderr);
    assert!(words.contains("didn't complete successfully: exit 3"), "{words}");
    assert_eq!(p.states(), ["first exited  3", "second created  0"]);
}

#[test]
fn up_in_the_foreground_ends_with_the_container_it_is_told_to_watch() {
    let e = Engine::start();
    let file = r#"
services:
  work:
    image: IMAGE
    command: ["sh", "-c", "echo working; sleep 0.3; exit 9"]
  side:
    image: IMAGE
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
"#;
    let Some(p) = Project::new(&e, "front", file) else {
        return;
    };
    let out = p.run(&["up", "--exit-code-from", "work"]);
    assert_eq!(
        out.status.code(),
        Some(9),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let words = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(words.contains("work-1") && words.contains("working"), "{words}");
}

/// Two networks, one of them closed, aliases on each, a fixed address, a published port.
const NETWORKED: &str = r#"
services:
  web:
    image: IMAGE
    command: ["httpd", "-f", "-p", "8080", "-h", "/www"]
    stop_signal: SIGKILL
    ports: ["18500:8080", "127.0.0.1::8080"]
    networks:
      front: {aliases: [site]}
      back: {ipv4_address: 10.214.1.10}
  db:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    networks:
      back: {aliases: [database, store]}
  side:
    image: IMAGE
    command: ["sleep", "1000"]
    stop_signal: SIGKILL
    networks: [front]
    dns_search: [example.test]
networks:
  front: {driver_opts: {com.docker.network.bridge.enable_icc: "true"}, labels: {tier: front}}
  back:
    internal: true
    ipam: {config: [{subnet: 10.214.1.0/24}]}
"#;

#[test]
fn a_project_with_several_networks_and_published_ports() {
    let engine = Engine::start();
    let Some(project) = Project::new(&engine, "nets", NETWORKED) else {
        return;
    };
    project.ok(&["up", "-d"]);
    let exec = |service: &str, script: &str| project.ok(&["exec", "-T", service, "sh", "-c", script]);
    let found = |service: &str, name: &str| {
        exec(
            service,
            &format!("nslookup {name} 127.0.0.11 2>/dev/null | grep -c '^Name'; true"),
        )
        .trim()
            != "0"
    };
    assert_eq!(exec("web", "ls -d /sys/class/net/eth* | wc -l").trim(), "2");
    assert!(exec("web", "ip -o -4 addr").contains("10.214.1.10/24"));
    assert!(found("web", "database") && found("web", "db") && found("web", "side"));
    assert!(found("side", "site") && found("db", "web") && !found("side", "db") && !found("db", "side"));
    assert!(exec("side", "cat /etc/resolv.conf").contains("search example.test"));
    assert!(!exec("db", "ip route").contains("default"));
    let page = exec(
        "side",
        "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 2 $(nslookup site 127.0.0.11 | sed -n 's/^Address: *//p' | tail -1) 8080 | tail -1",
    );
    assert_eq!(page.trim(), "hello");
    assert!(project.ok(&["port", "web", "8080"]).contains(":18500"));
    // Nothing is made again when nothing changed.
    let before = project.mine("container");
    project.ok(&["up", "-d"]);
    assert_eq!(project.mine("container"), before);
    project.ok(&["down"]);
    assert_eq!(project.mine("network"), "");
}
