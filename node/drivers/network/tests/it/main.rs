//! Real links, rules and connections, each test in network namespaces of its own: nothing of the host's is seen or
//! touched. Needs root, and `ip` and `nft` to look at the result with other eyes.

mod links;
mod netns;
mod nft;
mod ports;
mod traffic;

use std::net::Ipv4Addr;
use std::process::Command;

use rustix::thread::UnshareFlags;
use shoal_node_core_host::netplan::{Bridge, BridgeRules, Protocol, Published, Rules};
use shoal_node_drivers_network::{Cable, Links, Netns};

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
    Bridge {
        name: name.into(),
        address: address.parse().unwrap(),
        mtu: 1500,
        internal: false,
        masquerade: true,
        icc: true,
    }
}

fn rules_of(bridges: &[Bridge], published: &[Published]) -> Rules {
    let rule = |b: &Bridge| BridgeRules {
        subnet: b.address.trunc(),
        internal: b.internal,
        masquerade: b.masquerade,
        icc: b.icc,
    };
    Rules {
        bridges: bridges.iter().map(|b| (b.name.clone(), rule(b))).collect(),
        published: published.iter().copied().collect(),
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
        host_ip,
        host_port,
        container_ip,
        container_port,
    }
}

fn cable(bridge: &Bridge, host_link: &str, last: u8) -> Cable {
    let [a, b, c, _] = bridge.address.addr().octets();
    Cable {
        bridge: bridge.name.clone(),
        host_link: host_link.into(),
        name: "eth0".into(),
        address: ipnet::Ipv4Net::new(Ipv4Addr::new(a, b, c, last), bridge.address.prefix_len()).unwrap(),
        gateway: (!bridge.internal).then_some(bridge.address.addr()),
        mac: None,
        mtu: bridge.mtu,
        isolated: !bridge.icc,
    }
}

/// A container's namespace, plugged in; answers its address, too.
fn plugged(links: &Links, bridge: &Bridge, host_link: &str, last: u8) -> (Netns, Ipv4Addr) {
    let netns = Netns::create().unwrap();
    let cable = cable(bridge, host_link, last);
    links.plug(&netns, &cable).unwrap();
    (netns, cable.address.addr())
}
