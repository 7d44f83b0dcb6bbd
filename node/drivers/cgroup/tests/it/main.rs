//! Real groups with real processes, on whichever version the host has. Needs root. Everything lives below a parent named
//! after this process and test, and is removed with it.

mod delegation;
mod devices;
mod lifecycle;
mod limits;
mod oom;

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxResources, LinuxResourcesBuilder};
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy, Plan};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A parent of its own for one test, with one group in it.
struct Nest {
    hierarchy: Hierarchy,
    parent: String,
    children: Vec<Child>,
}

impl Nest {
    fn new() -> Nest {
        let hierarchy = Hierarchy::detect().unwrap();
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/shoal-test-cgroup-{}-{n}", std::process::id());
        hierarchy.prepare_parent(&parent).unwrap();
        Nest {
            hierarchy,
            parent,
            children: Vec::new(),
        }
    }

    fn plan(&self, resources: LinuxResources) -> Plan {
        Plan {
            parent: self.parent.clone(),
            name: "c1".into(),
            resources,
        }
    }

    fn create(&self, resources: LinuxResources) -> Cgroup {
        Cgroup::create(&self.hierarchy, &self.plan(resources)).unwrap()
    }

    fn create_free(&self) -> Cgroup {
        self.create(LinuxResourcesBuilder::default().build().unwrap())
    }

    /// A shell in the group, waiting for a line on its stdin before it runs `script`.
    fn shell(&mut self, cgroup: &Cgroup, script: &str) -> &mut Child {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        cgroup.add_pid(child.id() as i32).unwrap();
        self.children.push(child);
        self.children.last_mut().unwrap()
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        if let Ok(cgroup) = Cgroup::open(&self.hierarchy, &self.parent, "c1") {
            let _ = cgroup.thaw();
            let _ = cgroup.kill();
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let removed = self.hierarchy.remove_parent(&self.parent);
        if !std::thread::panicking() {
            removed.unwrap();
            assert!(self.hierarchy.list(&self.parent).unwrap().is_empty());
        }
    }
}

fn go(child: &mut Child) {
    use std::io::Write;
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{what}: not within 20 s"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
