//! Making networks: what is refused, and settings that are lent.

use super::Lab;
use shoal_tests_conformance::Engine;

#[test]
fn networks_that_cannot_be_made_say_why() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    lab.network("badtaken", &["--subnet", "10.213.8.0/24"]);
    let name = e.name("bad");
    for (options, why) in [
        (
            vec!["--subnet", "10.213.8.0/25"],
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
        (
            vec!["--subnet", "10.213.9.0/24", "--gateway", "10.213.7.1"],
            "no matching subnet for gateway 10.213.7.1",
        ),
        (
            vec!["-o", "com.docker.network.bridge.gateway_mode_ipv4=foo"],
            "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: foo (unknown gateway mode foo)",
        ),
        (
            vec!["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"],
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (
            vec!["-o", "com.docker.network.bridge.enable_icc=foo"],
            "strconv.ParseBool: parsing \"foo\": invalid syntax",
        ),
        (
            vec!["-o", "com.docker.network.driver.mtu=foo"],
            "strconv.Atoi: parsing \"foo\": invalid syntax",
        ),
        (
            vec!["--subnet", "10.213.10.0/24", "--subnet", "10.213.11.0/24"],
            "bridge driver doesn't support multiple subnets",
        ),
        (vec!["--ipv4=false"], "IPv4 or IPv6 must be enabled"),
        (
            vec!["--config-from", "no-such"],
            "configuration network \"no-such\" does not exist",
        ),
        (
            vec!["-d", "macvlan", "-o", "parent=nolink"],
            "invalid subinterface vlan name nolink, example formatting is eth0.10",
        ),
        (vec!["-d", "no-such"], "plugin \"no-such\" not found"),
        (
            vec!["--ingress"],
            "Ingress network can only be global scope network",
        ),
        (
            vec!["--scope", "swarm"],
            "cannot create a swarm scoped network when swarm is not active",
        ),
    ] {
        let mut args = vec!["network", "create"];
        args.extend(options);
        args.push(&name);
        let (code, out, err) = e.code(&args);
        e.docker(&["network", "rm", &name]);
        assert!(code != 0 && err.contains(why), "{args:?}: {out} {err}");
    }
}

#[test]
fn configuration_only_networks_lend_their_settings() {
    let e = Engine::start();
    let mut lab = Lab::new(&e);
    let source = e.name("conf");
    e.ok(&[
        "network",
        "create",
        "--config-only",
        "--subnet",
        "10.213.12.0/24",
        "--label",
        "a=b",
        &source,
    ]);
    let user = lab.network("confuser", &["--config-from", &source]);
    lab.networks.push(source.clone());
    let shown = e.ok(&[
        "network",
        "inspect",
        "-f",
        "{{.ConfigFrom.Network}} {{(index .IPAM.Config 0).Subnet}} {{.Labels.a}} {{.ConfigOnly}}",
        &user,
    ]);
    assert_eq!(shown, format!("{source} 10.213.12.0/24 b false"));
    let c = lab.run("confon", &["--network", &user]);
    for (args, why) in [
        (
            vec!["network", "connect", &source, &c],
            "cannot create endpoint on configuration-only network",
        ),
        (
            vec![
                "network",
                "create",
                "--config-from",
                &source,
                "--subnet",
                "10.213.7.0/24",
                "x",
            ],
            "user specified configurations are not supported if the network depends on a configuration network",
        ),
    ] {
        let (code, out, err) = e.code(&args);
        assert!(code != 0 && err.contains(why), "{args:?}: {out} {err}");
    }
    e.ok(&["rm", "-f", &c]);
    let (code, _, err) = e.code(&["network", "rm", &source]);
    assert!(
        code != 0 && err.contains(&format!("configuration network \"{source}\" is in use")),
        "{err}"
    );
    assert!(
        e.sh(&["--network", &user], "ip -o -4 addr show eth0")
            .contains("10.213.12.2/24")
    );
}
