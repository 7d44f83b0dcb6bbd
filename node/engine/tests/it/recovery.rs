//! The daemon dies at any moment; nothing is lost and nothing is left.

use crate::setup::*;
use shoal_api_backend::{ListContainers, StopContainer};
use shoal_api_types::container::{HostConfig, PortBinding, RestartPolicy};
use std::time::Duration;

fn policy(name: &str) -> HostConfig {
    let restart_policy = RestartPolicy {
        name: name.into(),
        maximum_retry_count: 0,
    };
    HostConfig {
        restart_policy,
        ..HostConfig::default()
    }
}

fn pid(lab: &Lab, id: &str) -> i64 {
    lab.run(async |e| e.containers.inspect(id, false).await)
        .expect("known")
        .state
        .pid
}

#[test]
fn what_runs_runs_on_and_what_ended_is_known() {
    let mut lab = Lab::new();
    let mut host = HostConfig::default();
    host.port_bindings
        .insert("80/tcp", vec![PortBinding::default()].into());
    let talks = lab
        .start(
            "talks",
            sh("i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"),
            host,
        )
        .expect("started");
    let ends = lab
        .start("ends", sh("sleep 0.4; exit 9"), HostConfig::default())
        .expect("started");
    let auto = HostConfig {
        auto_remove: true,
        ..HostConfig::default()
    };
    lab.start("brief", sh("sleep 0.3"), auto).expect("started");
    let before = pid(&lab, &talks);
    lab.crash();
    std::thread::sleep(Duration::from_millis(900));
    lab.up();
    assert_eq!(pid(&lab, &talks), before, "the same process");
    let ended = lab
        .run(async |e| e.containers.inspect(&ends, false).await)
        .expect("known")
        .state;
    assert_eq!((ended.status.as_str(), ended.exit_code), ("exited", 9));
    assert!(
        lab.run(async |e| e.containers.inspect("brief", false).await)
            .is_err(),
        "removed as it asked"
    );
    assert!(lab.exec(&talks, &["echo", "here"]).1.contains("here"));
    let now = StopContainer {
        signal: None,
        timeout: Some(0),
    };
    lab.run(async |e| e.containers.stop(&talks, now).await)
        .expect("stopped");
    let lines: Vec<u32> = lab
        .logs(&talks)
        .lines()
        .map(|l| l.parse().expect("a number"))
        .collect();
    assert!(
        lines.len() > 30 && lines.iter().zip(1..).all(|(a, b)| *a == b),
        "no line is lost: {lines:?}"
    );
}

#[test]
fn policies_work_after_a_start() {
    let mut lab = Lab::new();
    let always = lab
        .start("always", cmd(&["sleep", "100"]), policy("always"))
        .expect("started");
    let unless = lab
        .start("unless", cmd(&["sleep", "100"]), policy("unless-stopped"))
        .expect("started");
    let plain = lab
        .start("plain", cmd(&["sleep", "100"]), HostConfig::default())
        .expect("started");
    let now = StopContainer {
        signal: None,
        timeout: Some(0),
    };
    for id in [&always, &unless, &plain] {
        lab.run(async |e| e.containers.stop(id, now.clone()).await)
            .expect("stopped");
    }
    lab.crash();
    lab.up();
    for _ in 0..100 {
        if lab.status(&always) == "running" {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        [&always, &unless, &plain].map(|id| lab.status(id)),
        ["running", "exited", "exited"]
    );
    lab.run(async |e| e.containers.start(&unless).await)
        .expect("started again");
    lab.run(async |e| {
        e.reload(shoal_node_engine::Live {
            live_restore: false,
            ..Default::default()
        });
        e.shutdown().await;
    });
    assert_eq!([&always, &unless].map(|id| lab.status(id)), ["exited", "exited"]);
    lab.crash();
    lab.up();
    for _ in 0..100 {
        if [&always, &unless].iter().all(|id| lab.status(id) == "running") {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("a shutdown is no user's stop: both come back");
}

#[test]
fn half_made_things_are_cleared_away() {
    let mut lab = Lab::new();
    let kept = lab
        .create("kept", cmd(&["true"]), HostConfig::default())
        .expect("created");
    lab.crash();
    let half = lab.data().join("containers").join("f".repeat(64));
    std::fs::create_dir(&half).expect("made");
    std::fs::write(half.join(".config.json.tmp"), "{").expect("written");
    std::fs::create_dir_all(lab.data().join("tmp/gone-x/y")).expect("made");
    lab.up();
    let all = ListContainers {
        all: true,
        ..ListContainers::default()
    };
    let ids: Vec<String> = lab
        .run(async |e| e.containers.list(all).await)
        .expect("a list")
        .into_iter()
        .map(|c| c.id.clone())
        .collect();
    assert_eq!(ids, [kept]);
    assert!(!half.exists());
    assert_eq!(
        std::fs::read_dir(lab.data().join("tmp")).expect("listed").count(),
        0
    );
}

#[test]
fn dying_in_the_middle_of_starts_leaves_a_clean_house() {
    let mut lab = Lab::new();
    for round in 0..4u64 {
        let id = lab
            .create("", cmd(&["sleep", "100"]), HostConfig::default())
            .expect("created");
        lab.run(async |e| {
            let containers = e.containers.clone();
            let started = id.clone();
            tokio::spawn(async move { containers.start(&started).await });
            tokio::time::sleep(Duration::from_millis(4 * round)).await;
        });
        lab.crash();
        lab.up();
        let status = lab.status(&id);
        assert!(
            ["created", "running", "exited"].contains(&status.as_str()),
            "{status}"
        );
        lab.remove(&id);
    }
    let left = std::fs::read_dir(lab.config.exec_root.join("c"))
        .expect("listed")
        .count();
    assert_eq!(left, 0, "no run directory stays");
}
