use std::os::fd::AsFd;
use std::process::Command;

use shoal_node_drivers_network::{Links, Netns};

use crate::{on_new_host, run};

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
