//! A task's specification as a request to create its container. Pure.

use super::ground::Places;
use super::template::Context;
use serde_json::{Map, Value, json};
use shoal_api_types::container::CreateRequest;
use shoal_raft_objects::network::PREDEFINED;
use shoal_raft_objects::service::ContainerSpec;
use shoal_raft_objects::{Attachment, Task};
use std::net::Ipv6Addr;

/// Docker's default grace of a service's task.
const GRACE_SECONDS: i64 = 10;

pub fn grace_seconds(task: &Task) -> i64 {
    let nanos = task
        .spec
        .container_spec
        .as_ref()
        .and_then(|c| c.stop_grace_period);
    // Rounded up: half a second of grace must not become none.
    nanos.map_or(GRACE_SECONDS, |n| {
        n.max(0).saturating_add(999_999_999) / 1_000_000_000
    })
}

/// The whole request. Errors name the member that cannot be had.
pub fn request(task: &Task, places: &Places) -> Result<CreateRequest, String> {
    let container = task
        .spec
        .container_spec
        .as_ref()
        .ok_or("the task has no container specification")?;
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let context = Context::of(task, &hostname)?;
    let mut body = Map::new();
    let rest = |name: &str| container.rest.get(name).filter(|v| !v.is_null()).cloned();
    body.insert("Image".into(), json!(super::image::called(&container.image)));
    for (from, to) in [
        ("Command", "Entrypoint"),
        ("Args", "Cmd"),
        ("Dir", "WorkingDir"),
        ("User", "User"),
        ("TTY", "Tty"),
        ("OpenStdin", "OpenStdin"),
        ("StopSignal", "StopSignal"),
        ("Healthcheck", "Healthcheck"),
    ] {
        if let Some(value) = rest(from) {
            body.insert(to.into(), value);
        }
    }
    if let Some(name) = &container.hostname {
        body.insert("Hostname".into(), json!(context.expand(name)?));
    }
    let env = rest("Env").unwrap_or_default();
    let env: Vec<String> = env
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e.as_str())
        .map(|e| context.expand(e))
        .collect::<Result<_, _>>()?;
    body.insert("Env".into(), json!(env));
    body.insert("Labels".into(), labels(task, rest("Labels")));
    body.insert("StopTimeout".into(), json!(grace_seconds(task)));
    let ports: Vec<_> = task.ports.iter().filter(|p| p.publish_mode == "host").collect();
    let key = |p: &shoal_raft_objects::PortConfig| {
        format!(
            "{}/{}",
            p.target_port,
            if p.protocol.is_empty() {
                "tcp"
            } else {
                p.protocol.as_str()
            }
        )
    };
    let exposed: Map<String, Value> = ports.iter().map(|p| (key(p), json!({}))).collect();
    body.insert("ExposedPorts".into(), Value::Object(exposed));
    let mut bindings: Map<String, Value> = Map::new();
    for port in &ports {
        let host = if port.published_port == 0 {
            String::new()
        } else {
            port.published_port.to_string()
        };
        if let Value::Array(all) = bindings.entry(key(port)).or_insert_with(|| json!([])) {
            all.push(json!({"HostIp": "", "HostPort": host}));
        }
    }
    let mut host = host_config(task, container, &context)?;
    if !places.places.is_empty() {
        let (mode, endpoints) = endpoints(places);
        host.insert("NetworkMode".into(), json!(mode));
        body.insert("NetworkingConfig".into(), json!({ "EndpointsConfig": endpoints }));
    }
    host.insert("PortBindings".into(), Value::Object(bindings));
    body.insert("HostConfig".into(), Value::Object(host));
    serde_json::from_value(Value::Object(body)).map_err(|e| format!("container specification: {e}"))
}

/// The first network, and everything that is asked for on each.
fn endpoints(places: &Places) -> (String, Map<String, Value>) {
    let of = |place: &Attachment, six: &Option<Ipv6Addr>| {
        json!({
            "IPAMConfig": {
                "IPv4Address": place.address.to_string(),
                "IPv6Address": six.map(|address| address.to_string()).unwrap_or_default(),
            },
            "MacAddress": place.mac.map(|byte| format!("{byte:02x}")).join(":"),
            "Aliases": place.aliases,
        })
    };
    let mut endpoints: Map<String, Value> = places
        .places
        .iter()
        .map(|(name, place, six)| (name.clone(), of(place, six)))
        .collect();
    if let Some(gateway) = places.gateway {
        endpoints.insert(gateway.into(), json!({}));
    }
    let first = places.places.first().map(|(name, ..)| name.clone());
    (first.unwrap_or_default(), endpoints)
}

fn labels(task: &Task, own: Option<Value>) -> Value {
    let mut labels = match own {
        Some(Value::Object(labels)) => labels,
        _ => Map::new(),
    };
    for (key, value) in [
        ("com.docker.swarm.task", String::new()),
        (super::TASK_ID, task.id.to_string()),
        ("com.docker.swarm.task.name", task.name()),
        ("com.docker.swarm.service.id", task.service_id.to_string()),
        ("com.docker.swarm.service.name", task.service.name.clone()),
        ("com.docker.swarm.node.id", task.node_id.to_string()),
    ] {
        labels.insert(key.into(), Value::String(value));
    }
    Value::Object(labels)
}

fn host_config(
    task: &Task,
    container: &ContainerSpec,
    context: &Context,
) -> Result<Map<String, Value>, String> {
    let mut host = Map::new();
    let rest = |name: &str| container.rest.get(name).filter(|v| !v.is_null()).cloned();
    for (from, to) in [
        ("ReadOnly", "ReadonlyRootfs"),
        ("Init", "Init"),
        ("Sysctls", "Sysctls"),
        ("CapabilityAdd", "CapAdd"),
        ("CapabilityDrop", "CapDrop"),
        ("Groups", "GroupAdd"),
        ("Ulimits", "Ulimits"),
        ("OomScoreAdj", "OomScoreAdj"),
    ] {
        if let Some(value) = rest(from) {
            host.insert(to.into(), value);
        }
    }
    if let Some(Value::Array(mut mounts)) = rest("Mounts") {
        for mount in &mut mounts {
            if let Some(source) = mount["Source"].as_str() {
                mount["Source"] = json!(context.expand(source)?);
            }
        }
        host.insert("Mounts".into(), Value::Array(mounts));
    }
    if let Some(hosts) = rest("Hosts") {
        // Swarm writes lines of /etc/hosts ("address name…"), the engine takes "name:address".
        let extra = hosts
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|h| h.as_str())
            .flat_map(|line| {
                let mut words = line.split_whitespace();
                let address = words.next().unwrap_or_default().to_owned();
                words
                    .map(move |name| format!("{name}:{address}"))
                    .collect::<Vec<_>>()
            });
        host.insert("ExtraHosts".into(), extra.collect::<Vec<_>>().into());
    }
    if let Some(dns) = rest("DNSConfig") {
        for (from, to) in [
            ("Nameservers", "Dns"),
            ("Search", "DnsSearch"),
            ("Options", "DnsOptions"),
        ] {
            if !dns[from].is_null() {
                host.insert(to.into(), dns[from].clone());
            }
        }
    }
    if let Some(privileges) = rest("Privileges") {
        host.insert("SecurityOpt".into(), json!(security(&privileges)?));
    }
    if let Some(resources) = &task.spec.resources {
        if let Some(limits) = &resources.limits {
            host.insert("NanoCpus".into(), json!(limits.nano_cpus));
            host.insert("Memory".into(), json!(limits.memory_bytes));
            if limits.pids != 0 {
                host.insert("PidsLimit".into(), json!(limits.pids));
            }
        }
        if let Some(reservations) = &resources.reservations {
            host.insert("MemoryReservation".into(), json!(reservations.memory_bytes));
        }
        if let Some(swappiness) = resources.memory_swappiness {
            host.insert("MemorySwappiness".into(), json!(swappiness));
        }
        if let (Some(swap), Some(limits)) = (resources.swap_bytes, &resources.limits) {
            let total = if swap < 0 {
                -1
            } else {
                limits.memory_bytes.saturating_add(swap)
            };
            host.insert("MemorySwap".into(), json!(total));
        }
    }
    if let Some(driver) = &task.spec.log_driver {
        host.insert(
            "LogConfig".into(),
            json!({"Type": driver.name, "Config": driver.options}),
        );
    }
    let mode = match &task.spec.networks[..] {
        [] => "bridge".to_owned(),
        [one] => one.target.clone(),
        // Networks of the cluster, whose places are put in later; the host's own go with none other.
        all => match all.iter().find(|n| PREDEFINED.contains(&n.target.as_str())) {
            Some(own) => return Err(format!("network {} goes with no other network", own.target)),
            None => "bridge".to_owned(),
        },
    };
    host.insert("NetworkMode".into(), json!(mode));
    Ok(host)
}

fn security(privileges: &Value) -> Result<Vec<String>, String> {
    let mut options = Vec::new();
    if privileges["NoNewPrivileges"] == true {
        options.push("no-new-privileges=true".to_owned());
    }
    match privileges["Seccomp"]["Mode"].as_str() {
        None | Some("" | "default") => {}
        Some("unconfined") => options.push("seccomp=unconfined".into()),
        Some("custom") => {
            use base64::Engine;
            let text = privileges["Seccomp"]["Profile"].as_str().unwrap_or_default();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|e| format!("seccomp profile: {e}"))?;
            options.push(format!("seccomp={}", String::from_utf8_lossy(&bytes)));
        }
        Some(other) => return Err(format!("unknown seccomp mode {other:?}")),
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_becomes_dockers_container() {
        let spec = json!({
            "ContainerSpec": {
                "Image": "busybox", "Command": ["sh"], "Args": ["-c", "x"], "Env": ["SLOT={{.Task.Slot}}"], "Hosts": ["1.2.3.4 a b"],
                "Hostname": "h{{.Task.Slot}}", "StopGracePeriod": 1_500_000_000i64, "ReadOnly": true,
                "Mounts": [{"Type": "volume", "Source": "v{{.Task.Slot}}", "Target": "/v"}], "Privileges": {"NoNewPrivileges": true},
            },
            "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64_000_000, "Pids": 9}},
        });
        let task = Task {
            id: "tid".into(),
            slot: 2,
            service: shoal_raft_objects::Annotations {
                name: "web".into(),
                ..Default::default()
            },
            spec: serde_json::from_value(spec).unwrap(),
            ports: vec![shoal_raft_objects::PortConfig {
                target_port: 80,
                published_port: 8080,
                publish_mode: "host".into(),
                ..Default::default()
            }],
            ..Task::default()
        };
        let r = serde_json::to_value(request(&task, &Places::default()).unwrap()).unwrap();
        assert_eq!(r["Entrypoint"], json!(["sh"]));
        assert_eq!(r["Cmd"], json!(["-c", "x"]));
        assert_eq!(r["Env"], json!(["SLOT=2"]));
        assert_eq!(r["Hostname"], "h2");
        assert_eq!(r["StopTimeout"], 2);
        assert_eq!(r["Labels"]["com.docker.swarm.task.name"], "web.2.tid");
        let host = &r["HostConfig"];
        assert_eq!(host["ExtraHosts"], json!(["a:1.2.3.4", "b:1.2.3.4"]));
        assert_eq!(host["PortBindings"]["80/tcp"][0]["HostPort"], "8080");
        assert_eq!(host["Memory"], 64_000_000);
        assert_eq!(host["PidsLimit"], 9);
        assert_eq!(host["ReadonlyRootfs"], true);
        assert_eq!(host["Mounts"][0]["Source"], "v2");
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges=true"]));
    }
}
