//! What there should be, and changes of it by chance.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use shoal_tests_cluster::IMAGE;
use shoal_tests_harness::{Host, eventually, request};
use std::collections::BTreeMap;
use std::time::Duration;

pub const REPLICAS: usize = 3;
pub const PER_NETWORK: usize = 10;
pub const FIRST_PORT: usize = 20_000;

/// What there should be.
pub struct Plan {
    pub services: usize,
    pub networks: usize,
    pub replicas: BTreeMap<usize, usize>,
    pub forced: u64,
}

pub fn service_name(n: usize) -> String {
    format!("s{n}")
}

pub fn network_name(n: usize) -> String {
    format!("net{n}")
}

/// Every other one has a published port.
pub fn port(n: usize) -> Option<usize> {
    n.is_multiple_of(2).then_some(FIRST_PORT + n)
}

impl Plan {
    pub fn spec(&self, n: usize) -> Value {
        let ports: Vec<Value> = port(n)
            .map(|port| json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": port}))
            .into_iter()
            .collect();
        json!({
            "Name": service_name(n),
            "Mode": {"Replicated": {"Replicas": self.replicas.get(&n).copied().unwrap_or(REPLICAS)}},
            "TaskTemplate": {
                // The name of the one who answers is the page.
                "ContainerSpec": {"Image": IMAGE, "Command": ["httpd", "-f", "-p", "80", "-h", "/etc"], "StopSignal": "SIGKILL"},
                "RestartPolicy": {"Delay": 200_000_000},
                "Networks": [{"Target": network_name(n / PER_NETWORK)}],
                "ForceUpdate": self.forced,
            },
            "EndpointSpec": {"Ports": ports},
            "UpdateConfig": {"Parallelism": 1, "Monitor": 100_000_000},
        })
    }

    /// On every node, on every network: who asks.
    pub fn probe(&self) -> Value {
        let networks: Vec<Value> = (0..self.networks)
            .map(|n| json!({"Target": network_name(n)}))
            .collect();
        json!({
            "Name": "probe",
            "Mode": {"Global": {}},
            "TaskTemplate": {
                "ContainerSpec": {"Image": IMAGE, "Command": ["sleep", "100000"], "StopSignal": "SIGKILL"},
                "RestartPolicy": {"Delay": 200_000_000},
                "Networks": networks,
            },
        })
    }

    /// One change by chance. A manager that is cut off refuses; then nothing has changed.
    pub fn change(&mut self, host: &Host, rng: &mut ChaCha8Rng) -> &'static str {
        let n = rng.random_range(0..self.services);
        match rng.random_range(0..10) {
            0..4 => {
                let before = self.replicas.insert(n, rng.random_range(1..=4));
                if !self.update(host, n) {
                    before.map(|count| self.replicas.insert(n, count));
                    return "refused";
                }
                "scaled"
            }
            4..7 => {
                self.forced += 1;
                match self.update(host, n) {
                    true => "updated",
                    false => "refused",
                }
            }
            _ => {
                if !ok(host, "DELETE", &format!("/services/{}", service_name(n)), None) {
                    return "refused";
                }
                let spec = self.spec(n);
                eventually("a service is there again", Duration::from_secs(60), || {
                    ok(host, "POST", "/services/create", Some(&spec)).then_some(())
                });
                "removed and made again"
            }
        }
    }

    fn update(&self, host: &Host, n: usize) -> bool {
        let path = format!("/services/{}", service_name(n));
        let Some(shown) = got(host, &path) else {
            return false;
        };
        let version = shown["Version"]["Index"].as_u64().unwrap_or_default();
        ok(
            host,
            "POST",
            &format!("{path}/update?version={version}"),
            Some(&self.spec(n)),
        )
    }
}

pub fn ok(host: &Host, method: &str, path: &str, body: Option<&Value>) -> bool {
    request(&host.socket(), method, path, body).is_ok_and(|a| a.status < 300)
}

pub fn got(host: &Host, path: &str) -> Option<Value> {
    let answer = request(&host.socket(), "GET", path, None).ok()?;
    (answer.status == 200).then(|| answer.json())
}
