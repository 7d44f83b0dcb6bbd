use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

use shoal_node_core_host::netplan::Protocol;
use shoal_node_drivers_network::{HostPort, Ports};

use crate::on_new_host;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn port(ip: IpAddr, port: u16, protocol: Protocol) -> HostPort {
    HostPort {
        ips: vec![ip],
        first: port,
        last: port,
        protocol,
    }
}

#[test]
fn port_is_held_until_dropped() {
    on_new_host(|| {
        let ports = Ports::new();
        let guard = ports.reserve(&port(ANY, 8080, Protocol::Tcp)).unwrap();
        assert!(
            TcpListener::bind("127.0.0.1:8080").is_err(),
            "another program got the port"
        );
        let taken = ports
            .reserve(&port(LOCAL, 8080, Protocol::Tcp))
            .unwrap_err()
            .to_string();
        assert_eq!(taken, "Bind for 127.0.0.1:8080 failed: port is already allocated");
        let udp = ports.reserve(&port(ANY, 8080, Protocol::Udp)).unwrap();
        assert!(UdpSocket::bind("0.0.0.0:8080").is_err());
        drop(udp);
        UdpSocket::bind("0.0.0.0:8080").unwrap();
        drop(guard);
        TcpListener::bind("0.0.0.0:8080").unwrap();
        ports.reserve(&port(ANY, 8080, Protocol::Tcp)).unwrap();
    });
}

#[test]
fn programs_of_the_host_keep_their_ports() {
    on_new_host(|| {
        let ports = Ports::new();
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let busy = ports
            .reserve(&port(ANY, 8080, Protocol::Tcp))
            .unwrap_err()
            .to_string();
        assert_eq!(
            busy,
            "failed to bind host port for 0.0.0.0:8080/tcp: address already in use"
        );
        let target = "172.17.0.3:80".parse().unwrap();
        let busy = ports
            .reserve_for(&port(ANY, 8080, Protocol::Tcp), &[target])
            .unwrap_err()
            .to_string();
        assert_eq!(
            busy,
            "failed to bind host port for 0.0.0.0:8080:172.17.0.3:80/tcp: address already in use"
        );
        drop(listener);
        ports.reserve(&port(ANY, 8080, Protocol::Tcp)).unwrap();
        let nowhere = ports
            .reserve(&port([192, 0, 2, 1].into(), 80, Protocol::Tcp))
            .unwrap_err()
            .to_string();
        assert!(
            nowhere.ends_with("192.0.2.1:80/tcp: cannot assign requested address"),
            "{nowhere}"
        );
    });
}

#[test]
fn ranges_and_dynamic_ports_take_the_next_free_one() {
    on_new_host(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003").unwrap();
        let ports = Ports::new();
        let _listener = TcpListener::bind("0.0.0.0:40001").unwrap();
        let any = HostPort {
            ips: vec![ANY],
            first: 0,
            last: 0,
            protocol: Protocol::Tcp,
        };
        let guards: Vec<_> = (0..3).map(|_| ports.reserve(&any).unwrap()).collect();
        assert_eq!(
            guards.iter().map(|g| g[0].port()).collect::<Vec<_>>(),
            [40000, 40002, 40003]
        );
        assert_eq!(
            ports.reserve(&any).unwrap_err().to_string(),
            "all ports are allocated"
        );
        let range = HostPort {
            ips: vec![ANY],
            first: 40003,
            last: 40005,
            protocol: Protocol::Tcp,
        };
        let (a, b) = (ports.reserve(&range).unwrap(), ports.reserve(&range).unwrap());
        assert_eq!((a[0].port(), b[0].port()), (40004, 40005));
        assert!(ports.reserve(&range).is_err());
    });
}

#[test]
fn both_families_get_one_number() {
    on_new_host(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40009").unwrap();
        let ports = Ports::new();
        let _six = TcpListener::bind((Ipv6Addr::LOCALHOST, 40000)).unwrap();
        let both = HostPort {
            ips: vec![ANY, Ipv6Addr::UNSPECIFIED.into()],
            first: 0,
            last: 0,
            protocol: Protocol::Tcp,
        };
        let guards = ports.reserve(&both).unwrap();
        assert_eq!(
            guards.iter().map(|g| g.port()).collect::<Vec<_>>(),
            [40001, 40001]
        );
        assert!(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 40001)).is_err());
        // Whoever comes by ::1 is refused at once and does not wait for an answer.
        assert!(std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, 40001)).is_err());
    });
}
