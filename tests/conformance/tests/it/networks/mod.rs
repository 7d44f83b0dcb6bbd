//! Networks that users make: several for one container, joined and left while it runs, with names and addresses of one's
//! own.

mod joins;
mod kept;
mod made;
mod names;
mod parts;
mod passed_on;
mod published;

use serde_json::Value;
use shoal_tests_conformance::{Engine, IMAGE};

/// Containers and networks of one case, gone with it.
pub struct Lab<'a> {
    e: &'a Engine,
    containers: Vec<String>,
    networks: Vec<String>,
}

impl<'a> Lab<'a> {
    pub fn new(e: &'a Engine) -> Lab<'a> {
        Lab {
            e,
            containers: Vec::new(),
            networks: Vec::new(),
        }
    }

    pub fn network(&mut self, what: &str, options: &[&str]) -> String {
        let name = self.e.name(what);
        let mut args = vec!["network", "create"];
        args.extend(options);
        args.push(&name);
        self.e.ok(&args);
        self.networks.push(name.clone());
        name
    }

    /// A container that sleeps.
    pub fn run(&mut self, what: &str, options: &[&str]) -> String {
        self.run_command(what, options, &["sleep", "1000"])
    }

    pub fn run_command(&mut self, what: &str, options: &[&str], command: &[&str]) -> String {
        let name = self.e.name(what);
        self.containers.push(name.clone());
        let mut args = vec!["run", "-d", "--name", &name];
        args.extend(options);
        args.push(IMAGE);
        args.extend(command);
        self.e.ok(&args);
        name
    }

    pub fn inspect(&self, container: &str) -> Value {
        let text = self.e.ok(&["inspect", container]);
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    }

    pub fn exec(&self, container: &str, script: &str) -> String {
        self.e.ok(&["exec", container, "sh", "-c", script])
    }

    /// The last addresses that the resolver has for a name.
    pub fn look_up(&self, container: &str, name: &str) -> Vec<String> {
        let script = format!(
            "nslookup {name} 127.0.0.11 2>/dev/null | sed -n 's/^Address: *//p' | grep -v '#53\\|:53$'; true"
        );
        let out = self.exec(container, &script);
        out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        for container in &self.containers {
            self.e.docker(&["rm", "-f", container]);
        }
        for network in &self.networks {
            self.e.docker(&["network", "rm", network]);
        }
    }
}

pub fn on<'a>(inspected: &'a Value, network: &str) -> &'a Value {
    &inspected["NetworkSettings"]["Networks"][network]
}
