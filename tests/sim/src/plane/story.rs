//! Stories: commands in, text out.
//!
//! A story file holds blocks of commands, each followed by `----` and by what they print, up to an empty line.

use crate::plane::world::World;
use serde_json::{Value, json};
use shoal_raft_objects::node::{GenericResource, Role};
use shoal_raft_objects::{Availability, Node, ServiceSpec, Task, TaskState, held_image};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Plays a whole story and answers it with the outputs that really came.
pub fn play(story: &str) -> String {
    let mut world = World::new(1, 3);
    let mut out = String::new();
    for block in story
        .split("\n\n")
        .map(str::trim)
        .filter(|block| !block.is_empty())
    {
        let commands = block.split("\n----").next().unwrap_or_default();
        let _ = writeln!(out, "{commands}");
        if commands.lines().all(|line| line.starts_with('#')) {
            out.push('\n');
            continue;
        }
        out.push_str("----\n");
        for line in commands.lines().filter(|line| !line.starts_with('#')) {
            command(&mut world, line, &mut out);
        }
        out.push('\n');
    }
    out
}

fn command(world: &mut World, line: &str, out: &mut String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((verb, rest)) = words.split_first() else {
        return;
    };
    let name = rest.first().copied().unwrap_or_default();
    match *verb {
        "cluster" => *world = World::new(number(rest.get(1)).max(1), number(Some(&name)) as usize),
        "join" => world.join(name, Role::Worker),
        "create" => {
            let mut spec = json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web"}}});
            options(&mut spec, &rest[1..]);
            let spec: ServiceSpec = serde_json::from_value(spec).expect("a spec from options");
            world.create(spec);
            world.settle();
        }
        "update" => {
            let options_of = &rest[1..];
            world.change(name, |service| {
                let mut spec = serde_json::to_value(&service.spec).expect("a spec is JSON");
                options(&mut spec, options_of);
                service.spec = serde_json::from_value(spec).expect("a spec from options");
            });
            world.settle();
        }
        "rm" => world.remove(name),
        "rmnode" => world.remove_node(name),
        "run" => world.run(duration(name)),
        "kill" => world.kill(name),
        "boot" => world.boot(name),
        "cut" => world.disconnect(name),
        "mend" => world.connect(name),
        "leader" => world.change_leader(),
        "drain" => world.change_node(name, |node| node.spec.availability = Availability::Drain),
        "pause" => world.change_node(name, |node| node.spec.availability = Availability::Pause),
        "activate" => world.change_node(name, |node| node.spec.availability = Availability::Active),
        "label" => world.change_node(name, |node| label(node, rest[1])),
        "resource" => describe(world, name, rest[1]),
        "image" => world.redescribe(name, |node| {
            node.description.images = vec![held_image(rest[1])];
        }),
        "settled" => settled(world, name, duration(rest[1]), out),
        "ps" => ps(world, name, out),
        "spread" => spread(world, name, out),
        "status" => status(world, name, out),
        "nodes" => nodes(world, out),
        // For whoever writes a story: every change since the last of these lines. Not for a story that is kept.
        "trace" => {
            world.tracing = true;
            for line in world.trace.drain(..) {
                let _ = writeln!(out, "{line}");
            }
        }
        "log" => {
            let _ = writeln!(out, "{} entries, {} writes", world.entries, world.writes);
            world.entries = 0;
            world.writes = 0;
        }
        other => panic!("a story does not know {other:?}"),
    }
}

/// `key=value` options as members of the spec's JSON.
fn options(spec: &mut Value, options: &[&str]) {
    for option in options {
        let (key, value) = option.split_once('=').expect("key=value");
        let nanos = || json!(duration(value).as_nanos() as i64);
        let list = || json!(value.split(',').collect::<Vec<_>>());
        let (path, value) = match key {
            "image" => ("TaskTemplate.ContainerSpec.Image", json!(value)),
            "env" => ("TaskTemplate.ContainerSpec.Env", list()),
            "auth" => ("TaskTemplate.ContainerSpec.ShoalPullAuth", json!(value)),
            "force" => ("TaskTemplate.ForceUpdate", json!(number(Some(&value)))),
            "replicas" => ("Mode.Replicated.Replicas", json!(number(Some(&value)))),
            "mode" => match value {
                "global" => ("Mode.Global", json!({})),
                "global-job" => ("Mode.GlobalJob", json!({})),
                other => panic!("mode {other}"),
            },
            "job" => ("Mode.ReplicatedJob.TotalCompletions", json!(number(Some(&value)))),
            "concurrent" => ("Mode.ReplicatedJob.MaxConcurrent", json!(number(Some(&value)))),
            "restart" => ("TaskTemplate.RestartPolicy.Condition", json!(value)),
            "restart-delay" => ("TaskTemplate.RestartPolicy.Delay", nanos()),
            "attempts" => (
                "TaskTemplate.RestartPolicy.MaxAttempts",
                json!(number(Some(&value))),
            ),
            "window" => ("TaskTemplate.RestartPolicy.Window", nanos()),
            "constraint" => ("TaskTemplate.Placement.Constraints", list()),
            "max" => ("TaskTemplate.Placement.MaxReplicas", json!(number(Some(&value)))),
            "spread" => {
                let preferences: Vec<_> = value
                    .split(',')
                    .map(|descriptor| json!({"Spread": {"SpreadDescriptor": descriptor}}))
                    .collect();
                ("TaskTemplate.Placement.Preferences", json!(preferences))
            }
            "platform" => {
                let (os, architecture) = value.split_once('/').expect("os/arch");
                let platforms = json!([{"OS": os, "Architecture": architecture}]);
                ("TaskTemplate.Placement.Platforms", platforms)
            }
            "cpus" => {
                let nanos = number(Some(&value)) * 1_000_000_000;
                ("TaskTemplate.Resources.Reservations.NanoCPUs", json!(nanos))
            }
            "gpus" => {
                let wanted =
                    json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": number(Some(&value))}}]);
                ("TaskTemplate.Resources.Reservations.GenericResources", wanted)
            }
            "port" => {
                let port = json!([{"TargetPort": number(Some(&value)), "PublishedPort": number(Some(&value)), "PublishMode": "host", "Protocol": "tcp"}]);
                ("EndpointSpec.Ports", port)
            }
            "parallelism" => ("UpdateConfig.Parallelism", json!(number(Some(&value)))),
            "delay" => ("UpdateConfig.Delay", nanos()),
            "monitor" => ("UpdateConfig.Monitor", nanos()),
            "action" => ("UpdateConfig.FailureAction", json!(value)),
            "ratio" => (
                "UpdateConfig.MaxFailureRatio",
                json!(value.parse::<f32>().expect("a ratio")),
            ),
            "order" => ("UpdateConfig.Order", json!(value)),
            "rollback-parallelism" => ("RollbackConfig.Parallelism", json!(number(Some(&value)))),
            other => panic!("a story does not know the option {other:?}"),
        };
        put(spec, path, value);
    }
}

fn put(spec: &mut Value, path: &str, value: Value) {
    let mut at = spec;
    for member in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[member];
    }
    *at = value;
}

/// The service's tasks, slot by slot, the newest first.
fn ps(world: &World, name: &str, out: &mut String) {
    let tasks = world
        .state
        .tasks()
        .iter()
        .filter(|task| task.service.name == name);
    let mut tasks: Vec<_> = tasks.collect();
    tasks.sort_by_key(|t| {
        (
            t.slot,
            replica(t),
            std::cmp::Reverse((t.meta.created_at, t.id.clone())),
        )
    });
    for task in tasks {
        let mut line = format!(
            "{}.{} on {}: {}, {}",
            name,
            replica(task),
            if task.node_id.is_empty() {
                "-"
            } else {
                task.node_id.as_str()
            },
            task.desired.name(),
            task.status.state.name()
        );
        if !task.status.err.is_empty() {
            let _ = write!(line, " ({})", task.status.err);
        }
        let _ = writeln!(out, "{line}");
    }
}

fn replica(task: &Task) -> String {
    match task.slot {
        0 => task.node_id.to_string(),
        slot => slot.to_string(),
    }
}

/// How many tasks run on which node.
fn spread(world: &World, name: &str, out: &mut String) {
    let mut on: BTreeMap<&str, usize> = world.state.nodes().iter().map(|n| (n.id.as_str(), 0)).collect();
    for task in world.state.tasks().iter().filter(|t| t.service.name == name) {
        if task.status.state == TaskState::Running {
            *on.entry(task.node_id.as_str()).or_default() += 1;
        }
    }
    let counts: Vec<_> = on.iter().map(|(node, n)| format!("{node}={n}")).collect();
    let _ = writeln!(out, "{}", counts.join(" "));
}

fn status(world: &World, name: &str, out: &mut String) {
    let Some(service) = world.service(name) else {
        let _ = writeln!(out, "no service {name}");
        return;
    };
    match &service.update_status {
        None => out.push_str("no update\n"),
        Some(status) => {
            let message = status.message.split(" task ").next().unwrap_or_default();
            let _ = writeln!(
                out,
                "{:?}: {message} ({} of {} failed)",
                status.state, status.failures, status.slots
            );
        }
    }
}

/// How long until as many tasks run as are wanted, rounded up to the grain of a tenth of a second.
fn settled(world: &mut World, name: &str, max: Duration, out: &mut String) {
    let took = world.run_until(max, |world| {
        let wanted: Vec<_> = world
            .state
            .tasks()
            .iter()
            .filter(|t| t.service.name == name && t.desired <= TaskState::Running)
            .collect();
        !wanted.is_empty() && wanted.iter().all(|t| t.status.state == TaskState::Running)
    });
    let _ = match took {
        None => writeln!(out, "not within {max:?}"),
        Some(took) => writeln!(
            out,
            "after at most {:.1} s",
            (took.as_secs_f64() * 10.0).ceil() / 10.0
        ),
    };
}

fn nodes(world: &World, out: &mut String) {
    for node in world.state.nodes().iter() {
        let _ = writeln!(
            out,
            "{} {:?} {:?} {}",
            node.id, node.status.state, node.spec.availability, node.status.message
        );
    }
}

fn label(node: &mut Node, label: &str) {
    let (key, value) = label.split_once('=').expect("key=value");
    node.spec.labels.insert(key.into(), value.into());
}

fn describe(world: &mut World, name: &str, what: &str) {
    let (key, value) = what.split_once('=').expect("key=value");
    let value = number(Some(&value)) as i64;
    world.redescribe(name, |node| match key {
        "cpus" => node.description.nano_cpus = value * 1_000_000_000,
        kind => node.description.generic.push(GenericResource::Discrete {
            kind: kind.into(),
            value,
        }),
    });
}

fn number(word: Option<&&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn duration(word: &str) -> Duration {
    if let Some(millis) = word.strip_suffix("ms") {
        return Duration::from_millis(millis.parse().expect("milliseconds"));
    }
    let seconds = word
        .trim_end_matches(['s', 'm', 'h'])
        .parse::<u64>()
        .expect("a duration");
    Duration::from_secs(match word.as_bytes().last() {
        Some(b'm') => seconds * 60,
        Some(b'h') => seconds * 3600,
        _ => seconds,
    })
}
