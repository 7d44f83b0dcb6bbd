//! What there should be, and changes of it by chance.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use shoal_tests_cluster::IMAGE;
use shoal_tests_harness::{Host, eventually, request};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const REPLICAS: usize = 3;
pub const PER_NETWORK: usize = 10;
pub const FIRST_PORT: usize = 20_000;

/// What there should be.
pub struct Plan {
    pub services: usize,
    pub networks: usize,
    pub replicas: BTreeMap<usize, usize>,
    forced: u64,
    /// Services with a change that was refused or not answered: it may have been made nevertheless.
    unsure: BTreeSet<usize>,
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
    pub fn new(services: usize) -> Plan {
        Plan {
            services,
            networks: services.div_ceil(PER_NETWORK),
            replicas: BTreeMap::new(),
            forced: 0,
            unsure: BTreeSet::new(),
        }
    }

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

    /// One change by chance. A cluster without a leader refuses.
    pub fn change(&mut self, host: &Host, rng: &mut ChaCha8Rng) -> &'static str {
        let n = rng.random_range(0..self.services);
        let done = self.change_of(n, host, rng);
        if done == "refused" {
            self.unsure.insert(n);
        }
        done
    }

    fn change_of(&mut self, n: usize, host: &Host, rng: &mut ChaCha8Rng) -> &'static str {
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

    /// Each service whose last change was refused is as planned.
    pub fn make_sure(&mut self, host: &Host, limit: Duration) {
        for n in std::mem::take(&mut self.unsure) {
            eventually("a service is as planned", limit, || {
                let made = || ok(host, "POST", "/services/create", Some(&self.spec(n)));
                (self.update(host, n) || made()).then_some(())
            });
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
