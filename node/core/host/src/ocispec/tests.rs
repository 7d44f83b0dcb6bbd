use super::resources::{Limits, check, resources};
use super::*;
use crate::caps;

fn input() -> Input {
    Input {
        process: Process {
            args: vec!["true".into()],
            cwd: "/".into(),
            rights: Rights {
                caps: caps::resolve(&[], &[], false, 40).unwrap(),
                ..Rights::default()
            },
            ..Process::default()
        },
        hostname: "h".into(),
        ..Input::default()
    }
}

fn destinations(input: &Input) -> Vec<String> {
    let spec = build(input).unwrap();
    spec.mounts()
        .iter()
        .flatten()
        .map(|m| m.destination().display().to_string())
        .collect()
}

#[test]
fn the_default_container_is_dockers() {
    let spec = build(&input()).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.masked_paths().as_ref().unwrap().len(), 12);
    assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), 5);
    let caps = spec.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(caps.bounding().as_ref().unwrap().len(), 14);
    assert!(caps.inheritable().as_ref().unwrap().is_empty() && caps.ambient().as_ref().unwrap().is_empty());
    assert_eq!(
        destinations(&input()),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm"
        ]
    );
}

#[test]
fn another_user_holds_no_capability() {
    let mut i = input();
    i.process.rights.user.uid = 1000;
    let spec = build(&i).unwrap();
    let caps = spec.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert!(caps.effective().as_ref().unwrap().is_empty() && caps.permitted().as_ref().unwrap().is_empty());
    assert_eq!(caps.bounding().as_ref().unwrap().len(), 14);
}

#[test]
fn mounts_are_ordered_and_never_doubled() {
    let mut i = input();
    let tmpfs = |d: &str| Mount::Tmpfs {
        destination: d.into(),
        options: vec![],
    };
    i.mounts = vec![tmpfs("/a/b/c"), tmpfs("/a"), tmpfs("/dev/shm")];
    let all = destinations(&i);
    assert_eq!(all.iter().filter(|d| *d == "/dev/shm").count(), 1);
    let place = |d: &str| all.iter().position(|x| x == d).unwrap();
    assert!(place("/a") < place("/a/b/c"));
}

#[test]
fn privileged_opens_everything() {
    let i = Input {
        privileged: true,
        ..input()
    };
    let spec = build(&i).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.masked_paths().as_ref().unwrap().is_empty());
    assert_eq!(
        linux
            .resources()
            .as_ref()
            .unwrap()
            .devices()
            .as_ref()
            .unwrap()
            .len(),
        1
    );
    let sys = spec
        .mounts()
        .iter()
        .flatten()
        .find(|m| m.destination().as_os_str() == "/sys")
        .unwrap()
        .clone();
    assert!(sys.options().as_ref().unwrap().contains(&"rw".to_string()));
}

#[test]
fn namespaces_of_others_are_joined() {
    let mut i = input();
    i.namespaces = Namespaces {
        network: Ns::Of("/proc/7/ns/net".into()),
        pid: Ns::Host,
        ..Namespaces::default()
    };
    let spec = build(&i).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let list = linux.namespaces().as_ref().unwrap();
    assert_eq!(list.len(), 5);
    assert!(
        linux.sysctl().as_ref().unwrap().is_empty(),
        "a foreign network keeps its settings"
    );
}

#[test]
fn init_comes_first() {
    let i = Input {
        init: Some("/usr/libexec/shoal-init".into()),
        ..input()
    };
    let spec = build(&i).unwrap();
    assert_eq!(
        spec.process().as_ref().unwrap().args().as_ref().unwrap(),
        &["/sbin/docker-init", "--", "true"]
    );
}

#[test]
fn limits_translate() {
    let r = resources(&Limits {
        memory: 1 << 26,
        nano_cpus: 1_500_000_000,
        pids: Some(50),
        ..Limits::default()
    });
    assert_eq!(r.memory().as_ref().unwrap().swap(), Some(1 << 27));
    assert_eq!(r.cpu().as_ref().unwrap().quota(), Some(150_000));
    assert_eq!(r.pids().as_ref().unwrap().limit(), 50);
    assert!(
        resources(&Limits {
            pids: Some(0),
            ..Limits::default()
        })
        .pids()
        .is_none()
    );
}

#[test]
fn nonsense_limits_are_refused_in_dockers_words() {
    let l = |f: fn(&mut Limits)| {
        let mut l = Limits::default();
        f(&mut l);
        check(&l, 2, false)
    };
    assert_eq!(
        l(|l| l.memory = 1024).unwrap_err(),
        "Minimum memory limit allowed is 6MB"
    );
    assert!(
        l(|l| l.nano_cpus = 3_000_000_000)
            .unwrap_err()
            .contains("only 2 CPUs")
    );
    assert!(
        l(|l| l.memory_swap = 1 << 30)
            .unwrap_err()
            .contains("always set the Memory limit")
    );
    assert!(l(|l| l.memory = 1 << 26).is_ok());
}

#[test]
fn rlimits_have_dockers_names() {
    let mut i = input();
    i.process.rights.rlimits = vec![("nofile".into(), 1024, -1)];
    let spec = build(&i).unwrap();
    let limits = spec.process().as_ref().unwrap().rlimits().clone().unwrap();
    assert_eq!((limits[0].soft(), limits[0].hard()), (1024, u64::MAX));
    i.process.rights.rlimits[0].0 = "wat".into();
    assert!(build(&i).is_err());
}

#[test]
fn the_hosts_name_is_not_changed() {
    let mut i = input();
    i.namespaces.uts = Ns::Host;
    assert_eq!(build(&i).unwrap().hostname(), &None);
    assert_eq!(build(&input()).unwrap().hostname().as_deref(), Some("h"));
}

#[test]
fn a_user_namespace_maps_what_is_ours() {
    use crate::subids::{Extent, IdMap};
    use oci_spec::runtime::LinuxNamespaceType as Kind;
    let mut i = input();
    let extent = Extent {
        inside: 0,
        outside: 100_000,
        size: 65536,
    };
    i.ids = Some(IdMap {
        uids: vec![extent],
        gids: vec![extent],
    });
    i.files = vec![("/x/hosts".into(), "/etc/hosts")];
    for (destination, mapped) in [("/volume", true), ("/bind", false)] {
        i.mounts.push(Mount::Bind {
            source: "/s".into(),
            destination: destination.into(),
            read_only: ReadOnly::No,
            recursive: true,
            propagation: String::new(),
            mapped,
        });
    }
    let spec = build(&i).unwrap();
    let mapped: Vec<_> = spec
        .mounts()
        .iter()
        .flatten()
        .filter(|m| m.uid_mappings().is_some() && m.gid_mappings().is_some())
        .map(|m| m.destination().display().to_string())
        .collect();
    assert_eq!(mapped, ["/etc/hosts", "/volume"]);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.uid_mappings().as_ref().unwrap()[0].host_id(), 100_000);
    let kinds: Vec<Kind> = linux.namespaces().iter().flatten().map(|n| n.typ()).collect();
    assert!(kinds.contains(&Kind::User));
    let sysctl = linux.sysctl().clone().unwrap();
    assert!(
        !sysctl.contains_key("net.ipv4.ping_group_range"),
        "its last group is not mapped"
    );
}
