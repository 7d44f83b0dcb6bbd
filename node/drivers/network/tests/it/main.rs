//! Real links, rules and connections, each test in network namespaces of its own: nothing of the host's is seen or
//! touched. Needs root, and `ip` and `nft` to look at the result with other eyes.

mod links;
mod netns;
mod nft;
mod overlay;
mod ports;
mod resolver;
mod short;
mod traffic;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use ipnet::IpNet;
use rustix::thread::UnshareFlags;
use shoal_node_core_host::netplan::{
    Bridge, BridgeRules, Mode, Protocol, Published, Rules, SubnetRules, mac_of,
};
use shoal_node_drivers_network::{Cable, Inside, Links, Netns};

/// Runs a test on a thread that plays the host: a new network namespace with loopback up.
fn on_new_host(test: impl FnOnce() + Send) {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only the network namespace of this thread changes, and it ends with the test.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
            run("ip", &["link", "set", "lo", "up"]);
            test();
        });
        thread.join()
    });
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// The output of a program that must succeed, run in this thread's namespace.
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn bridge(name: &str, address: &str) -> Bridge {
    let address: IpNet = address.parse().unwrap();
    Bridge {
        name: name.into(),
        addresses: vec![address],
        mtu: 1500,
        rules: BridgeRules {
            subnets: vec![SubnetRules {
                net: address.trunc(),
                mode: Mode::Nat,
                masquerade: true,
                leave_as: None,
            }],
            icc: true,
            ..BridgeRules::default()
        },
    }
}

/// The bridge's own address.
fn gateway(bridge: &Bridge) -> Ipv4Addr {
    match bridge.addresses[0].addr() {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => panic!("{v6}"),
    }
}

fn rules_of(bridges: &[Bridge], published: &[Published]) -> Rules {
    Rules {
        bridges: bridges
            .iter()
            .map(|b| (b.name.clone(), b.rules.clone()))
            .collect(),
        published: published.iter().copied().collect(),
        open: Default::default(),
    }
}

fn published(
    host_ip: Option<Ipv4Addr>,
    host_port: u16,
    container_ip: Ipv4Addr,
    container_port: u16,
) -> Published {
    Published {
        protocol: Protocol::Tcp,
        host_ip: host_ip.map(IpAddr::from),
        host_port,
        container_ip: container_ip.into(),
        container_port,
    }
}

fn cable(bridge: &Bridge, host_link: &str, last: u8) -> Cable {
    let [a, b, c, _] = gateway(bridge).octets();
    let address = IpAddr::from([a, b, c, last]);
    Cable {
        bridge: bridge.name.clone(),
        host_link: host_link.into(),
        inside: Inside {
            name: "eth0".into(),
            addresses: vec![IpNet::new(address, bridge.addresses[0].prefix_len()).unwrap()],
            gateways: if bridge.rules.internal {
                vec![]
            } else {
                vec![gateway(bridge).into()]
            },
            switches: vec![],
        },
        mac: mac_of(address),
        mtu: bridge.mtu,
        isolated: !bridge.rules.icc,
    }
}

/// A container's namespace, plugged in; answers its address, too.
fn plugged(links: &Links, bridge: &Bridge, host_link: &str, last: u8) -> (Netns, Ipv4Addr) {
    let netns = Netns::create().unwrap();
    let cable = cable(bridge, host_link, last);
    links.plug(&netns, &cable).unwrap();
    match cable.inside.addresses[0].addr() {
        IpAddr::V4(v4) => (netns, v4),
        IpAddr::V6(v6) => panic!("{v6}"),
    }
}
