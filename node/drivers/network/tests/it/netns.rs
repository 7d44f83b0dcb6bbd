use std::os::fd::AsFd;
use std::process::Command;

use shoal_node_drivers_network::{Links, Netns, Spares};

use crate::{bridge, cable, on_new_host, run};

fn inode(netns: &Netns) -> u64 {
    rustix::fs::fstat(netns.as_fd()).unwrap().st_ino
}

#[test]
fn new_namespace_is_empty_and_not_ours() {
    let netns = Netns::create().unwrap();
    let own = rustix::fs::stat("/proc/thread-self/ns/net").unwrap().st_ino;
    assert_ne!(inode(&netns), own);
    assert_eq!(
        rustix::fs::stat("/proc/thread-self/ns/net").unwrap().st_ino,
        own,
        "the caller moved"
    );
    Links::loopback_up(&netns).unwrap();
    let shown = netns.run(|| run("ip", &["-4", "-br", "address"])).unwrap();
    assert!(
        shown.starts_with("lo") && shown.contains("127.0.0.1/8"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn namespace_of_a_process_is_found() {
    on_new_host(|| {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let netns = Netns::of_pid(child.id() as i32).unwrap();
        let own = rustix::fs::stat("/proc/thread-self/ns/net").unwrap().st_ino;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(inode(&netns), own);
        // It is held although its process is gone.
        Links::loopback_up(&netns).unwrap();
        let error = Netns::of_pid(i32::MAX).unwrap_err();
        assert!(error.is_not_found(), "{error}");
    });
}

#[test]
fn spare_namespaces_are_new_each_time_and_die_with_their_holder() {
    on_new_host(|| {
        let spares = Spares::start(2).unwrap();
        let links = Links::open().unwrap();
        let wanted = bridge("docker0", "172.17.0.1/16");
        links.ensure_bridge(&wanted).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut held = Vec::new();
        for last in 2..8 {
            let netns = spares.take().unwrap();
            assert!(seen.insert(inode(&netns)), "one namespace was given twice");
            links
                .plug(&netns, &cable(&wanted, &format!("svtest{last}"), last))
                .unwrap();
            held.push(netns);
        }
        assert_eq!(links.list_ours("svtest").unwrap().len(), 6);
        // Their cables go with them: the thread that made them does not keep them.
        drop(held);
        let begin = std::time::Instant::now();
        while !links.list_ours("svtest").unwrap().is_empty() {
            assert!(begin.elapsed().as_secs() < 10, "a cable outlives its namespace");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
}
