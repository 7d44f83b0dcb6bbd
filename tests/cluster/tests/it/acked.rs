//! What was acknowledged is never lost: every daemon is killed at once while clients write, again and again.

use serde_json::json;
use shoal_tests_cluster::{Cluster, rounds};
use shoal_tests_harness::{eventually, request};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn sigkill_of_all_under_load_loses_no_acknowledged_write() {
    let mut c = Cluster::form(3, 1);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..rounds(3) {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
                let socket = c.hosts[writer].socket();
                std::thread::spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return n;
                        }
                        let name = format!("r{round}w{writer}n{n}");
                        let body = json!({
                            "Name": name, "Mode": {"Replicated": {"Replicas": 0}},
                            "TaskTemplate": {"ContainerSpec": {"Image": "x"}}
                        });
                        // A cut connection says nothing: the write may or may not be there.
                        if request(&socket, "POST", "/v1.44/services/create", Some(&body))
                            .is_ok_and(|a| a.status == 201)
                        {
                            acknowledged.lock().unwrap().insert(name);
                        }
                    }
                    0
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(400));
        for host in &mut c.hosts {
            host.kill();
        }
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        for host in &mut c.hosts {
            host.spawn();
        }
        for host in &mut c.hosts {
            host.await_ping();
        }
        let wanted = acknowledged.lock().unwrap().clone();
        eventually("the cluster lists its services", Duration::from_secs(15), || {
            let answer = request(&c.hosts[round % 4].socket(), "GET", "/v1.44/services", None).ok()?;
            if answer.status != 200 {
                return None;
            }
            let have: BTreeSet<String> = answer
                .json()
                .as_array()?
                .iter()
                .filter_map(|s| s["Spec"]["Name"].as_str().map(str::to_owned))
                .collect();
            let lost: Vec<_> = wanted.difference(&have).collect();
            assert!(
                lost.is_empty(),
                "round {round}: {} of {} acknowledged writes are lost: {lost:?}",
                lost.len(),
                wanted.len()
            );
            Some(())
        });
        eprintln!("round {round}: {} acknowledged, all there", wanted.len());
        // A cluster full of empty services would slow every later round's listing.
        for name in wanted {
            let path = format!("/v1.44/services/{name}");
            eventually("it is removed", Duration::from_secs(10), || {
                request(&c.hosts[0].socket(), "DELETE", &path, None)
                    .ok()
                    .filter(|a| a.status == 200 || a.status == 404)
            });
        }
        acknowledged.lock().unwrap().clear();
    }
}
