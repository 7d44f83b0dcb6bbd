//! Clusters of real daemons: namespaces as hosts, the stock CLI as client, real containers as tasks.
//!
//! [`Cluster::form`] makes a world with managers and workers; the cases in `tests/it` break it and watch. What a case
//! may expect of time stands beside it: the figures are those of a debug build on two busy cores.

use shoal_tests_harness::{Host, World, busybox_tar, eventually};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub const IMAGE: &str = "shoaltest:latest";

/// How often a case repeats its fault: a few times in the fast tier, `SHOAL_ROUNDS` in the long one.
pub fn rounds(fast: usize) -> usize {
    std::env::var("SHOAL_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(fast)
}

pub struct Cluster {
    // Hosts are dropped before the world that they are plugged into, and the next cluster forms after both.
    pub hosts: Vec<Host>,
    pub world: World,
    _turn: MutexGuard<'static, ()>,
}

/// One cluster at a time in this process: several at once only measure how the machine is loaded.
static TURN: Mutex<()> = Mutex::new(());

/// One task as `docker service ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    pub id: String,
    pub name: String,
    pub node: String,
    pub desired: String,
    pub state: String,
}

impl Cluster {
    /// Hosts 0..managers are managers (host 0 first), the rest workers. Every host has the image.
    pub fn form(managers: usize, workers: usize) -> Cluster {
        Cluster::form_with(managers, workers, "{}")
    }

    /// The same with this text as every daemon's configuration file.
    pub fn form_with(managers: usize, workers: usize, config: &str) -> Cluster {
        Cluster::form_by(managers, workers, config, |_| Vec::new())
    }

    /// The same, each host joining with these options besides; it may be prepared for them.
    pub fn form_by(
        managers: usize,
        workers: usize,
        config: &str,
        options: impl Fn(&Host) -> Vec<String>,
    ) -> Cluster {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = World::new();
        let mut hosts: Vec<Host> = (0..managers + workers).map(|_| world.host()).collect();
        for host in &mut hosts {
            std::fs::write(host.dir().join("daemon.json"), config).expect("a configuration file");
            host.spawn();
        }
        for host in &mut hosts {
            host.await_ping();
            host.docker_ok(&[
                "import",
                "--change",
                "CMD [\"sh\"]",
                &busybox_tar().display().to_string(),
                IMAGE,
            ]);
        }
        let first = &hosts[0];
        let with = |args: &[&str], host: &Host| {
            let more = options(host);
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            host.docker_ok(&[&["swarm"], &args[..1], &more, &args[1..]].concat());
        };
        with(&["init", "--advertise-addr", &first.address], first);
        for (role, range) in [("manager", 1..managers), ("worker", managers..managers + workers)] {
            let token = first.docker_ok(&["swarm", "join-token", "-q", role]);
            let remote = format!("{}:2377", first.address);
            for host in &hosts[range] {
                let args = [
                    "join",
                    "--advertise-addr",
                    &host.address,
                    "--token",
                    &token,
                    &remote,
                ];
                with(&args, host);
            }
        }
        let cluster = Cluster {
            hosts,
            world,
            _turn: turn,
        };
        cluster.await_ready(managers + workers);
        cluster
    }

    pub fn await_ready(&self, count: usize) {
        eventually(
            &format!("{count} nodes are ready"),
            Duration::from_secs(20),
            || {
                let out = self.hosts[0].docker(&["node", "ls", "--format", "{{.Status}}"]);
                let ready = String::from_utf8_lossy(&out.stdout)
                    .lines()
                    .filter(|l| *l == "Ready")
                    .count();
                (ready == count).then_some(())
            },
        );
    }

    /// Creates a service of sleepers and waits until all replicas run.
    pub fn sleepers(&self, asked: usize, name: &str, replicas: usize, options: &[&str]) {
        let count = replicas.to_string();
        let mut args = vec![
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            name,
            "--replicas",
            &count,
        ];
        args.extend(["--restart-delay", "200ms"]);
        args.extend(options);
        args.extend([IMAGE, "sleep", "100000"]);
        self.hosts[asked].docker_ok(&args);
        self.await_running(asked, name, replicas, Duration::from_secs(20));
    }

    pub fn await_running(&self, asked: usize, name: &str, replicas: usize, limit: Duration) {
        eventually(&format!("{replicas} tasks of {name} run"), limit, || {
            let tasks = self.try_tasks(asked, name)?;
            let running = tasks
                .iter()
                .filter(|t| t.desired == "Running" && t.state.starts_with("Running"))
                .count();
            let wanted = tasks.iter().filter(|t| t.desired == "Running").count();
            (running == replicas && wanted == replicas).then_some(())
        });
    }

    pub fn tasks(&self, asked: usize, name: &str) -> Vec<Task> {
        self.try_tasks(asked, name)
            .unwrap_or_else(|| panic!("service ps {name} failed on host {asked}"))
    }

    fn try_tasks(&self, asked: usize, name: &str) -> Option<Vec<Task>> {
        let format = "{{.ID}}\t{{.Name}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}";
        let out = self.hosts[asked].docker(&["service", "ps", "--no-trunc", "--format", format, name]);
        if !out.status.success() {
            return None;
        }
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let field = |l: &str, n: usize| l.split('\t').nth(n).unwrap_or_default().to_owned();
        Some(
            text.lines()
                .map(|l| Task {
                    id: field(l, 0),
                    name: field(l, 1),
                    node: field(l, 2),
                    desired: field(l, 3),
                    state: field(l, 4),
                })
                .collect(),
        )
    }

    /// Tasks that are wanted and run, per host name.
    pub fn spread(&self, asked: usize, name: &str) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for task in self.tasks(asked, name) {
            if task.desired == "Running" && task.state.starts_with("Running") {
                *spread.entry(task.node).or_default() += 1;
            }
        }
        spread
    }

    /// Container id and pid of everything that runs on a host.
    pub fn pids(&self, host: usize) -> BTreeMap<String, String> {
        let ids = self.hosts[host].docker_ok(&["ps", "-q", "--no-trunc"]);
        ids.lines()
            .map(|id| {
                (
                    id.to_owned(),
                    self.hosts[host].docker_ok(&["inspect", "-f", "{{.State.Pid}}", id]),
                )
            })
            .collect()
    }

    /// Which host leads, asked of `asked`.
    pub fn leader(&self, asked: usize) -> Option<usize> {
        let out = self.hosts[asked].docker(&["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let name = text
            .lines()
            .find(|l| l.ends_with(" Leader"))?
            .split(' ')
            .next()?
            .to_owned();
        self.hosts
            .iter()
            .position(|h| format!("host{}", h.number) == name)
    }
}
