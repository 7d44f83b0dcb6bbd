//! From create to gone.

use crate::setup::*;
use futures_util::StreamExt;
use shoal_api_backend::{Class, ListContainers, RemoveContainer, StopContainer, WaitCondition};
use shoal_api_types::Filters;
use shoal_api_types::container::{HostConfig, RestartPolicy};
use std::time::{Duration, Instant};

#[test]
fn codes_and_output() {
    let lab = Lab::new();
    assert_eq!(
        lab.output("echo out; echo err >&2; exit 7", HostConfig::default()),
        (7, "out\nerr\n".into())
    );
    for (words, code, text) in [
        (&["nosuch"][..], 127, "executable file not found in $PATH"),
        (&["/etc/noexec"], 126, "permission denied"),
    ] {
        let id = lab
            .create("", cmd(words), HostConfig::default())
            .expect("created");
        let error = lab
            .run(async |e| e.containers.start(&id).await)
            .expect_err("cannot start");
        assert_eq!(error.class, Class::InvalidParameter);
        assert!(error.message.contains(text), "{}", error.message);
        let state = lab
            .run(async |e| e.containers.inspect(&id, false).await)
            .expect("still there")
            .state;
        assert_eq!((state.status.as_str(), state.exit_code), ("created", code));
        lab.remove(&id);
    }
}

#[test]
fn names_prefixes_and_refusals() {
    let lab = Lab::new();
    let id = lab
        .start("one", cmd(&["sleep", "100"]), HostConfig::default())
        .expect("started");
    let taken = lab
        .create("one", cmd(&["true"]), HostConfig::default())
        .expect_err("taken");
    assert_eq!(taken.class, Class::Conflict);
    assert!(taken.message.starts_with(&format!(
        "Conflict. The container name \"/one\" is already in use by container \"{id}\"."
    )));
    let missing = lab
        .run(async |e| e.containers.start("nobody").await)
        .expect_err("missing");
    assert_eq!(
        (missing.class, missing.message.as_str()),
        (Class::NotFound, "No such container: nobody")
    );
    assert_eq!(
        lab.run(async |e| e.containers.inspect(&id[..10], false).await)
            .expect("by prefix")
            .id,
        id
    );
    assert_eq!(
        lab.run(async |e| e.containers.start("one").await)
            .expect_err("runs")
            .class,
        Class::NotModified
    );
    let running = lab
        .run(async |e| e.containers.remove("one", RemoveContainer::default()).await)
        .expect_err("runs");
    assert_eq!(running.class, Class::Conflict);
    lab.run(async |e| e.containers.rename("one", "two").await)
        .expect("renamed");
    let unknown = lab.create(
        "",
        shoal_api_types::container::Config {
            image: "nope".into(),
            ..cmd(&["x"])
        },
        HostConfig::default(),
    );
    assert_eq!(
        unknown.expect_err("no image").message,
        "No such image: nope:latest"
    );
    lab.remove("two");
    assert!(!lab.data().join("containers").join(&id).exists());
    assert_eq!(
        lab.run(async |e| e.containers.kill("two", "").await)
            .expect_err("gone")
            .class,
        Class::NotFound
    );
}

#[test]
fn stop_kill_restart() {
    let lab = Lab::new();
    let polite = "trap 'exit 5' TERM; while true; do sleep 0.02; done";
    let id = lab.start("", sh(polite), HostConfig::default()).expect("started");
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    lab.run(async |e| e.containers.stop(&id, StopContainer::default()).await)
        .expect("stopped");
    assert!(begin.elapsed() < Duration::from_secs(5), "it heeds the signal");
    assert_eq!(lab.wait(&id), 5);
    let again = lab
        .run(async |e| e.containers.stop(&id, StopContainer::default()).await)
        .expect_err("stopped already");
    assert_eq!(again.class, Class::NotModified);
    let now = StopContainer {
        signal: None,
        timeout: Some(0),
    };
    lab.run(async |e| e.containers.restart(&id, now.clone()).await)
        .expect("restarted");
    assert_eq!(lab.status(&id), "running");
    lab.run(async |e| e.containers.kill(&id, "KILL").await)
        .expect("killed");
    assert_eq!(lab.wait(&id), 137);
    let dead = lab
        .run(async |e| e.containers.kill(&id, "KILL").await)
        .expect_err("dead");
    assert!(dead.message.contains("is not running"), "{}", dead.message);
    lab.run(async |e| e.containers.start(&id).await)
        .expect("a second life");
    lab.run(async |e| e.containers.pause(&id).await).expect("paused");
    assert_eq!(lab.status(&id), "paused");
    lab.run(async |e| e.containers.unpause(&id).await)
        .expect("unpaused");
    lab.remove(&id);
}

#[test]
fn waiting_and_auto_removal() {
    let lab = Lab::new();
    let host = HostConfig {
        auto_remove: true,
        ..HostConfig::default()
    };
    let id = lab.create("brief", sh("exit 4"), host).expect("created");
    let code = lab.run(async |engine| {
        let mut gone = engine
            .containers
            .wait(&id, WaitCondition::Removed)
            .await
            .expect("known");
        let mut next = engine
            .containers
            .wait(&id, WaitCondition::NextExit)
            .await
            .expect("known");
        engine.containers.start(&id).await.expect("started");
        assert_eq!(
            next.next()
                .await
                .expect("an answer")
                .expect("no error")
                .status_code,
            4
        );
        gone.next()
            .await
            .expect("an answer")
            .expect("no error")
            .status_code
    });
    assert_eq!(code, 4);
    let all = ListContainers {
        all: true,
        ..ListContainers::default()
    };
    assert!(
        lab.run(async |e| e.containers.list(all).await)
            .expect("a list")
            .is_empty()
    );
}

#[test]
fn restart_policies_count() {
    let lab = Lab::new();
    let policy = RestartPolicy {
        name: "on-failure".into(),
        maximum_retry_count: 2,
    };
    let host = HostConfig {
        restart_policy: policy,
        ..HostConfig::default()
    };
    let id = lab.start("", sh("echo run; exit 3"), host).expect("started");
    for _ in 0..300 {
        let seen = lab
            .run(async |e| e.containers.inspect(&id, false).await)
            .expect("known");
        if seen.state.status == "exited" && seen.restart_count == 2 {
            assert_eq!(lab.logs(&id), "run\nrun\nrun\n");
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it was not tried three times");
}

#[test]
fn lists_filter() {
    let lab = Lab::new();
    let mut wish = cmd(&["sleep", "100"]);
    wish.labels.insert("tier", "front".to_string());
    let up = lab.start("up", wish, HostConfig::default()).expect("started");
    let idle = lab
        .create("idle", cmd(&["true"]), HostConfig::default())
        .expect("created");
    let ask = |all: bool, pairs: &[(&str, &str)]| -> Vec<String> {
        let mut filters = Filters::new();
        pairs.iter().for_each(|(k, v)| filters.add(k, *v));
        let options = ListContainers {
            all,
            filters,
            ..ListContainers::default()
        };
        lab.run(async |e| e.containers.list(options).await)
            .expect("a list")
            .into_iter()
            .map(|c| c.id.clone())
            .collect()
    };
    assert_eq!(ask(false, &[]), *std::slice::from_ref(&up));
    assert_eq!(ask(true, &[]), [idle.clone(), up.clone()], "newest first");
    assert_eq!(ask(false, &[("status", "created")]), [idle]);
    assert_eq!(ask(true, &[("label", "tier=front")]), *std::slice::from_ref(&up));
    assert_eq!(ask(true, &[("name", "^u.$|nobody")]), *std::slice::from_ref(&up));
    assert_eq!(ask(true, &[("ancestor", "bb"), ("name", "^/up$")]), [up]);
    assert!(ask(true, &[("name", "(")]).is_empty());
    assert!(ask(true, &[("label", "tier=back")]).is_empty());
    let mut filters = Filters::new();
    filters.add("wat", "x");
    let bad = lab.run(async |e| {
        e.containers
            .list(ListContainers {
                filters,
                ..Default::default()
            })
            .await
    });
    assert_eq!(bad.expect_err("unknown").message, "invalid filter 'wat'");
}
