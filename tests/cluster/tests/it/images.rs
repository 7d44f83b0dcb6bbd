//! Images of tasks: what one node has, all have; what a registry has leaves it once; credentials travel with the task.

use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Guests, Host, Registry, busybox_tar, eventually, run_ok};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);
/// No registry is there, and that is known at once.
pub const LOCAL: &str = "127.0.0.1:1/team/app:1";
const INSECURE: &str = r#"{"insecure-registries": ["10.84.0.0/24"]}"#;

pub fn id(host: &Host, image: &str) -> String {
    let out = host.docker(&["image", "inspect", "-f", "{{.Id}}", image]);
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// The image that each host's running containers of the service have.
fn running(c: &Cluster, service: &str) -> Vec<String> {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    let all = c.hosts.iter().flat_map(|host| {
        let ids = host.docker_ok(&["ps", "-q", "--filter", &filter]);
        let images = ids
            .lines()
            .map(|id| host.docker_ok(&["inspect", "-f", "{{.Image}}", id]));
        images.collect::<Vec<_>>()
    });
    all.collect()
}

pub fn global(c: &Cluster, asked: usize, name: &str, image: &str, options: &[&str]) -> String {
    let mut args = vec![
        "service", "create", "--detach", "--mode", "global", "--name", name,
    ];
    args.extend(["--restart-delay", "500ms"]);
    args.extend(options);
    args.extend([image, "sleep", "100000"]);
    let out = c.hosts[asked].docker(&args);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    said
}

pub fn await_all(c: &Cluster, name: &str, image: &str) {
    let count = c.hosts.len();
    eventually(&format!("{name} runs {image} on {count} hosts"), SOON, || {
        let images = running(c, name);
        (images.len() == count && images.iter().all(|i| i == image)).then_some(())
    });
}

#[test]
fn what_one_node_has_runs_on_all() {
    let c = Cluster::form(1, 3);
    // Loaded on a worker, pushed nowhere. The client says what it always says of such an image.
    let tar = busybox_tar().display().to_string();
    c.hosts[1].docker_ok(&["import", "--change", "CMD [\"sh\"]", &tar, LOCAL]);
    let loaded = id(&c.hosts[1], LOCAL);
    let said = global(&c, 0, "loaded", LOCAL, &[]);
    assert!(
        said.contains("could not be accessed on a registry to record"),
        "{said}"
    );
    await_all(&c, "loaded", &loaded);

    // Committed on another.
    c.hosts[2].docker_ok(&["run", "--name", "made", IMAGE, "sh", "-c", "echo made > /made"]);
    let name = "127.0.0.1:1/team/made:1";
    let made = c.hosts[2].docker_ok(&["commit", "made", name]);
    global(&c, 2, "made", name, &["--no-resolve-image"]);
    await_all(&c, "made", &made);
    for host in &c.hosts {
        let container = host.docker_ok(&["ps", "-q", "--filter", "label=com.docker.swarm.service.name=made"]);
        assert_eq!(host.docker_ok(&["exec", &container, "cat", "/made"]), "made");
        assert_eq!(id(host, name), made);
    }

    // Made anew where it was made: an update brings that to everybody.
    c.hosts[1].docker_ok(&["import", "--change", "ENV V=2", &tar, LOCAL]);
    let anew = id(&c.hosts[1], LOCAL);
    assert_ne!(anew, loaded);
    c.hosts[0].docker_ok(&[
        "service",
        "update",
        "--detach",
        "--force",
        "--no-resolve-image",
        "--update-parallelism",
        "0",
        "loaded",
    ]);
    await_all(&c, "loaded", &anew);

    // The node that made it is gone: the others have it now.
    let mut c = c;
    c.hosts[2].crash();
    let host = &c.hosts[3];
    host.docker_ok(&["rmi", "-f", name]);
    let container = host.docker_ok(&["ps", "-q", "--filter", "label=com.docker.swarm.service.name=made"]);
    host.docker_ok(&["rm", "-f", &container]);
    eventually("the task is replaced", SOON, || {
        (running_on(host, "made") == 1 && id(host, name) == made).then_some(())
    });
}

fn running_on(host: &Host, service: &str) -> usize {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    host.docker_ok(&["ps", "-q", "--filter", &filter]).lines().count()
}

/// Bytes that came in to and went out of a host so far.
fn traffic(host: &Host) -> (u64, u64) {
    let count = |which: &str| {
        let path = format!("/sys/class/net/eth0/statistics/{which}_bytes");
        // The folder shows the interfaces of the namespace that mounted it.
        let script = format!("mount -t sysfs none /sys && cat {path}");
        let text = run_ok(host.command("unshare").args(["-m", "sh", "-c", &script]));
        text.trim().parse().expect("a number")
    };
    (count("rx"), count("tx"))
}

/// An image of several layers of noise, built and pushed on a host, which forgets it. Returns its name with digest.
fn pushed(host: &Host, registry: &Registry, layers: usize, mib: usize) -> String {
    let mut from = IMAGE.to_owned();
    for n in 0..layers {
        let script = format!("dd if=/dev/urandom of=/noise{n} bs=1M count={mib} 2>/dev/null");
        host.docker_ok(&["run", "--name", "maker", &from, "sh", "-c", &script]);
        from = format!("step{n}:1");
        host.docker_ok(&["commit", "maker", &from]);
        host.docker_ok(&["rm", "maker"]);
    }
    let name = registry.name("team/noise:1");
    host.docker_ok(&["tag", &from, &name]);
    host.docker_ok(&["push", "-q", &name]);
    let digest = host.docker_ok(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &name]);
    host.docker_ok(&["rmi", &name]);
    for n in (0..layers).rev() {
        host.docker_ok(&["rmi", &format!("step{n}:1")]);
    }
    digest
}

#[test]
fn each_blob_leaves_the_registry_once() {
    let mut c = Cluster::form_with(1, 3, INSECURE);
    let shelf = c.world.host();
    let command = |program: &str| shelf.command(program);
    let Some(registry) = Registry::start_at(&shelf.address, Guests::Everybody, command) else {
        return;
    };
    let (layers, mib) = match std::env::var_os("SHOAL_ROUNDS") {
        Some(_) => (8, 128),
        None => (8, 4),
    };
    let before = traffic(&shelf);
    let name = pushed(&c.hosts[0], &registry, layers, mib);
    let size = traffic(&shelf).0 - before.0;
    assert!(size as usize > (layers * mib) << 20, "{size} bytes were pushed");
    let before = traffic(&shelf);
    global(&c, 0, "noise", &name, &["--no-resolve-image"]);
    eventually("it runs on all nodes", SOON * 5, || {
        (running(&c, "noise").len() == 4).then_some(())
    });
    let egress = traffic(&shelf).1 - before.1;
    eprintln!("image {size} bytes, egress for four nodes {egress} bytes");
    assert!(
        egress * 10 <= size * 12,
        "{egress} bytes left the registry for an image of {size}"
    );
    let ids: Vec<String> = running(&c, "noise");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn credentials_travel_with_the_task() {
    let mut c = Cluster::form_with(1, 1, INSECURE);
    let shelf = c.world.host();
    let command = |program: &str| shelf.command(program);
    let Some(registry) = Registry::start_at(&shelf.address, Guests::User, command) else {
        return;
    };
    let manager = &c.hosts[0];
    manager.docker_ok(&["login", "-u", "user", "-p", "secret", &registry.host]);
    let name = pushed(manager, &registry, 1, 1);
    // Without them no node may have it.
    global(&c, 0, "without", &name, &["--no-resolve-image"]);
    eventually("it is refused", SOON, || {
        let errors = manager.docker_ok(&["service", "ps", "--no-trunc", "--format", "{{.Error}}", "without"]);
        errors.contains("No such image: ").then_some(())
    });
    assert_eq!(running(&c, "without"), Vec::<String>::new());
    manager.docker_ok(&["service", "rm", "without"]);

    global(&c, 0, "with", &name, &["--with-registry-auth"]);
    eventually("it runs on all nodes", SOON, || {
        (running(&c, "with").len() == 2).then_some(())
    });
    // Shown to nobody, and nowhere on a disk in the clear.
    let auth = "InNlY3JldCI";
    for secret in ["secret", auth] {
        assert!(
            !manager
                .docker_ok(&["service", "inspect", "with"])
                .contains(secret)
        );
        assert!(
            !manager
                .docker_ok(&["inspect", &manager.docker_ok(&["ps", "-ql"])])
                .contains(secret)
        );
        for host in &c.hosts {
            let kept = host.data_root().join("swarm");
            let found = Command::new("grep").args(["-rla", secret]).arg(&kept).output();
            let found = String::from_utf8_lossy(&found.expect("grep").stdout).into_owned();
            assert_eq!(found, "", "{secret} lies in the open");
        }
    }
}
