//! Containers on a part of one of the host's interfaces.

use super::{Lab, on};
use shoal_tests_conformance::Engine;

#[test]
fn containers_on_a_part_of_the_hosts_interface() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    // A bridge with nobody on it has no carrier.
    lab.run("mvk", &[]);
    let net = lab.network(
        "mac",
        &[
            "-d",
            "macvlan",
            "--subnet",
            "10.213.20.0/24",
            "-o",
            "parent=docker0",
        ],
    );
    let a = lab.run(
        "mva",
        &[
            "--network",
            &net,
            "--ip",
            "10.213.20.5",
            "--mac-address",
            "02:42:00:00:14:05",
        ],
    );
    let b = lab.run("mvb", &["--network", &net]);
    let shown = lab.inspect(&a);
    assert_eq!(on(&shown, &net)["IPAddress"], "10.213.20.5");
    assert_eq!(on(&shown, &net)["MacAddress"], "02:42:00:00:14:05");
    assert!(lab.exec(&a, "ip route").contains("default via 10.213.20.1"));
    assert_eq!(lab.look_up(&b, &a), ["10.213.20.5"]);
    lab.exec(&b, "ping -c 1 -W 5 10.213.20.5");
    e.ok(&["network", "disconnect", &net, &b]);
    assert_eq!(lab.exec(&b, "ls /sys/class/net"), "lo");
    e.ok(&["network", "connect", &net, &b]);
    lab.exec(&b, "ping -c 1 -W 5 10.213.20.5");
    if e.is_reference() {
        return;
    }
    // Where the kernel has none of a kind, that is what is said, before anything is made.
    let name = e.name("ipv");
    let (code, _, err) = e.code(&["network", "create", "-d", "ipvlan", "-o", "parent=docker0", &name]);
    assert!(
        code == 0 || err.contains("kernel has no ipvlan interfaces"),
        "{err}"
    );
    e.docker(&["network", "rm", &name]);
    // One without a parent leads nowhere.
    let closed = lab.network("macx", &["-d", "macvlan", "--subnet", "10.213.21.0/24"]);
    let (c, d) = (
        lab.run("mvc", &["--network", &closed]),
        lab.run("mvd", &["--network", &closed]),
    );
    assert!(!lab.exec(&d, "ip route").contains("default"));
    let address = lab.look_up(&d, &c);
    lab.exec(&d, &format!("ping -c 1 -W 5 {}", address[0]));
}
