//! A daemon that systemd started with `Delegate=yes`: version 2 only, where it matters.

use std::path::Path;

use oci_spec::runtime::{LinuxPidsBuilder, LinuxResourcesBuilder};
use shoal_node_drivers_cgroup::{Cgroup, Hierarchy, Plan, Version};

const ROOT: &str = "/sys/fs/cgroup";

fn own_group() -> String {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap()
        .to_owned()
}

fn join(group: &Path) {
    std::fs::write(group.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}

#[test]
fn containers_live_below_a_delegated_scope_and_the_daemon_makes_way() {
    let hierarchy = Hierarchy::detect().unwrap();
    if hierarchy.version() == Version::V1 {
        assert_eq!(hierarchy.delegated_root(), None);
        assert_eq!(hierarchy.parent_for("1a2b"), "/shoal-1a2b");
        return;
    }
    let before = own_group();
    let name = format!("/shoal-test-{}.scope", std::process::id());
    let scope = Path::new(ROOT).join(&name[1..]);
    std::fs::create_dir(&scope).unwrap();
    join(&scope);
    assert_eq!(hierarchy.delegated_root(), None, "nobody has delegated it yet");
    rustix::fs::setxattr(&scope, "trusted.delegate", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    assert_eq!(hierarchy.delegated_root().as_deref(), Some(name.as_str()));

    // As the daemon does when it starts: here it stands in the way of its own containers.
    let parent = hierarchy.parent_for("test");
    assert_eq!(parent, format!("{name}/shoal-test"));
    hierarchy.prepare_parent(&parent).unwrap();
    assert_eq!(own_group(), format!("{name}/daemon"));
    assert_eq!(
        hierarchy.delegated_root().as_deref(),
        Some(name.as_str()),
        "the same after it moved"
    );
    hierarchy.prepare_parent(&parent).unwrap();
    let pids = LinuxPidsBuilder::default().limit(7).build().unwrap();
    let resources = LinuxResourcesBuilder::default().pids(pids).build().unwrap();
    let plan = Plan {
        parent: parent.clone(),
        name: "c1".into(),
        resources,
    };
    let cgroup = Cgroup::create(&hierarchy, &plan).unwrap();
    assert_eq!(cgroup.stats().unwrap().pids.limit, Some(7));
    cgroup.delete().unwrap();

    join(&Path::new(ROOT).join(before.trim_start_matches('/')));
    hierarchy.remove_parent(&name).unwrap();
    assert!(!scope.exists());
}
