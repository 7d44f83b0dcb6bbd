//! `--metrics-addr`: what Prometheus scrapes, in its text format.

use shoal_tests_conformance::{Engine, IMAGE};
use std::collections::{BTreeMap, BTreeSet};

/// Every sample by its name with labels, checked against the format on the way.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut helped, mut samples) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                helped.insert(rest.split(' ').next().unwrap()),
                "helped twice: {line}"
            );
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(
                families.insert(name, kind).is_none(),
                "one family in two places: {line}"
            );
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|end| name.strip_suffix(end))
            .find(|family| families.get(family) == Some(&"histogram"))
            .unwrap_or(name);
        assert!(
            families.contains_key(family) && helped.contains(family),
            "no type or help: {line}"
        );
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{line}"
        );
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(
            samples.insert(series.to_owned(), value).is_none(),
            "told twice: {line}"
        );
    }
    samples
}

/// With the address given at the start: a reference engine has to be started with it too.
fn engine() -> Option<(Engine, String)> {
    let mut e = Engine::start();
    let host = e.host()?;
    host.stop();
    host.args.push("--metrics-addr=127.0.0.1:9323".into());
    host.start();
    let netns = host.netns.clone();
    Some((e, netns))
}

fn scrape(netns: &str) -> BTreeMap<String, f64> {
    let mut curl = std::process::Command::new("nsenter");
    curl.arg(format!("--net=/run/netns/{netns}"));
    curl.args(["curl", "-sS", "--fail", "http://127.0.0.1:9323/metrics"]);
    parse(&shoal_tests_harness::run_ok(&mut curl))
}

#[test]
fn the_engine_and_each_container_are_told() {
    let Some((e, netns)) = engine() else { return };
    let before = scrape(&netns);
    let state = |s: &str| format!("engine_daemon_container_states_containers{{state=\"{s}\"}}");
    assert_eq!(before[&state("running")], 0.0);
    let name = e.name("counted");
    e.ok(&[
        "run", "-d", "--name", &name, "-m", "64m", IMAGE, "sh", "-c",
        "dd if=/dev/zero of=/dev/shm/f bs=1M count=8 2>/dev/null; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 1000",
    ]);
    e.ok(&["create", "--name", &e.name("waits"), IMAGE]);
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]);
    let series = |figure: &str| format!("{figure}{{id=\"{id}\",image=\"{IMAGE}\",name=\"{name}\"}}");
    let after = shoal_tests_harness::eventually(
        "it has used something",
        std::time::Duration::from_secs(20),
        || {
            let now = scrape(&netns);
            let used = now.get(&series("container_memory_usage_bytes"))? > &8e6
                && now.get(&series("container_cpu_usage_seconds_total"))? > &0.01;
            used.then_some(now)
        },
    );
    assert_eq!(
        after[&series("container_spec_memory_limit_bytes")],
        f64::from(64 << 20)
    );
    assert!(after[&series("container_processes")] >= 1.0);
    assert_eq!(after[&state("running")], 1.0);
    assert_eq!(after[&state("stopped")] - before[&state("stopped")], 1.0);
    assert!(
        after["engine_daemon_engine_cpus_cpus"] >= 1.0 && after["engine_daemon_engine_memory_bytes"] > 1e8
    );
    let info = after
        .keys()
        .filter(|k| k.starts_with("engine_daemon_engine_info{"))
        .count();
    assert_eq!(info, 1);
    let actions = "engine_daemon_container_actions_seconds_count{action=\"start\"}";
    assert_eq!(after[actions] - before.get(actions).unwrap_or(&0.0), 1.0);
    assert!(after["engine_daemon_events_total"] > before["engine_daemon_events_total"]);
    let received = after
        .keys()
        .any(|k| k.starts_with("container_network_receive_bytes_total{") && k.contains(&id));
    assert!(received);
    e.ok(&["rm", "-f", &name, &e.name("waits")]);
    assert!(
        !scrape(&netns).keys().any(|k| k.contains(&id)),
        "a container that is gone is not told of"
    );
}
