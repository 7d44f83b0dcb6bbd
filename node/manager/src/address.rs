//! Which addresses a node listens on and tells others: Docker's forms and Docker's refusals.

use shoal_api_backend::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

pub const PORT: u16 = 2377;

/// `interface:port`, `ip:port`, either alone, or nothing at all, as `--listen-addr` takes it.
pub fn listen(given: &str) -> Result<SocketAddr> {
    let (host, port) = split(given, "listen address")?;
    if host.is_empty() {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    Ok(SocketAddr::new(
        resolve(&host, "could not find any network interface to listen on")?,
        port,
    ))
}

/// `--advertise-addr`. Without one: the address listened on, else the one that this host reaches `towards` from, else
/// its only address.
pub fn advertise(given: &str, listen: SocketAddr, towards: Option<&str>) -> Result<SocketAddr> {
    if !given.is_empty() {
        let (host, port) = split_with(given, listen.port(), "advertise address")?;
        let ip = resolve(&host, "could not find any network interface to advertise")?;
        if ip.is_unspecified() {
            return Err(Error::invalid(
                "advertise address must be a non-zero IP address or network interface (with optional port number)",
            ));
        }
        return Ok(SocketAddr::new(ip, port));
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen);
    }
    if let Some(ip) = towards.and_then(source_towards) {
        return Ok(SocketAddr::new(ip, listen.port()));
    }
    system().map(|ip| SocketAddr::new(ip, listen.port()))
}

/// `--data-path-addr`: an address or an interface's name, which is looked up once, as Docker does. Empty stays empty.
pub fn data_path(given: &str) -> Result<String> {
    if given.is_empty() {
        return Ok(String::new());
    }
    let bad = || {
        Error::invalid(
            "data path address must be a non-zero IP address or network interface (without a port number)",
        )
    };
    match resolve(given, "") {
        Ok(ip) if !ip.is_unspecified() => Ok(ip.to_string()),
        _ => Err(bad()),
    }
}

/// `host:port` of a manager to join; the port may be left out.
pub fn remote(given: &str) -> Result<String> {
    let (host, port) = split(given, "remote address")?;
    if host.is_empty() {
        return Err(Error::invalid("at least 1 RemoteAddr is required to join"));
    }
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    })
}

fn split(given: &str, what: &str) -> Result<(String, u16)> {
    split_with(given, PORT, what)
}

fn split_with(given: &str, port: u16, what: &str) -> Result<(String, u16)> {
    let bad = || Error::invalid(format!("invalid {what} {given:?}: want host:port"));
    if let Ok(addr) = given.parse::<SocketAddr>() {
        return Ok((addr.ip().to_string(), addr.port()));
    }
    if let Ok(ip) = given.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((ip.to_string(), port));
    }
    match given.rsplit_once(':') {
        None => Ok((given.to_owned(), port)),
        Some((host, text)) => match text.parse::<u16>() {
            Ok(port) if port != 0 && !host.contains(':') => Ok((host.to_owned(), port)),
            _ => Err(bad()),
        },
    }
}

/// An address, or that of the interface named so.
fn resolve(host: &str, missing: &str) -> Result<IpAddr> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let found = interfaces()?.into_iter().find(|(name, _)| name == host);
    found
        .map(|(_, ip)| ip)
        .ok_or_else(|| Error::invalid(format!("{missing}: {host}")))
}

fn system() -> Result<IpAddr> {
    let mut found: Vec<(String, IpAddr)> = interfaces()?
        .into_iter()
        .filter(|(name, ip)| !ip.is_loopback() && !name.starts_with("docker") && !name.starts_with("br-"))
        .collect();
    found.sort_by_key(|(_, ip)| ip.is_ipv6());
    match found.as_slice() {
        [] => Err(Error::invalid(
            "could not find the system's IP address - specify one with --advertise-addr",
        )),
        [(_, only)] => Ok(*only),
        [(first_name, first), rest @ ..] => match rest.iter().find(|(_, ip)| ip.is_ipv4() == first.is_ipv4())
        {
            None => Ok(*first),
            Some((name, _)) if name == first_name => Err(Error::invalid(format!(
                "could not choose an IP address to advertise since this system has multiple addresses on interface {name} - specify one with --advertise-addr"
            ))),
            Some((name, second)) => Err(Error::invalid(format!(
                "could not choose an IP address to advertise since this system has multiple addresses on different interfaces ({first} on {first_name} and {second} on {name}) - specify one with --advertise-addr"
            ))),
        },
    }
}

/// Networks that this host is in, as far as they have IPv4 addresses: a cluster network that is routed keeps clear of them.
pub fn own_networks() -> Vec<ipnet::Ipv4Net> {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let nets = interfaces.filter_map(|interface| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask?.as_sockaddr_in()?.ip();
        let net = ipnet::Ipv4Net::with_netmask(address, mask).ok()?;
        (!address.is_loopback()).then(|| net.trunc())
    });
    nets.collect()
}

/// The first address of each interface comes first, IPv4 before IPv6; link-local ones are of no use to others.
fn interfaces() -> Result<Vec<(String, IpAddr)>> {
    let all = nix::ifaddrs::getifaddrs()
        .map_err(|e| Error::system(format!("cannot list this host's addresses: {e}")))?;
    let mut found = Vec::new();
    for interface in all {
        let Some(address) = interface.address else {
            continue;
        };
        if let Some(v4) = address.as_sockaddr_in() {
            found.push((interface.interface_name, IpAddr::V4(v4.ip())));
        } else if let Some(v6) = address.as_sockaddr_in6()
            && !v6.ip().is_unicast_link_local()
        {
            found.push((interface.interface_name, IpAddr::V6(v6.ip())));
        }
    }
    found.sort_by_key(|(_, ip)| ip.is_ipv6());
    Ok(found)
}

/// The address that packets to `host:port` leave from. Connecting a datagram socket sends nothing.
fn source_towards(addr: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect(addr).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_forms() {
        assert_eq!(listen("").unwrap().to_string(), "0.0.0.0:2377");
        assert_eq!(listen("127.0.0.1").unwrap().to_string(), "127.0.0.1:2377");
        assert_eq!(listen("127.0.0.1:99").unwrap().to_string(), "127.0.0.1:99");
        assert_eq!(listen("lo:99").unwrap().to_string(), "127.0.0.1:99");
        assert_eq!(listen("[::1]:99").unwrap().to_string(), "[::1]:99");
        for bad in ["lo:0", "lo:x", "nothere0:1", "1.2.3.4:99999"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
        let listen = SocketAddr::from(([0, 0, 0, 0], 99));
        assert_eq!(
            advertise("127.0.0.1", listen, None).unwrap().to_string(),
            "127.0.0.1:99"
        );
        assert_eq!(
            advertise("lo:5", listen, None).unwrap().to_string(),
            "127.0.0.1:5"
        );
        assert_eq!(
            advertise("", listen, Some("127.0.0.1:1")).unwrap().to_string(),
            "127.0.0.1:99"
        );
        assert!(advertise("0.0.0.0", listen, None).is_err());
        assert_eq!(remote("10.0.0.1").unwrap(), "10.0.0.1:2377");
        assert_eq!(remote("manager:1").unwrap(), "manager:1");
        assert!(remote("").is_err());
        assert_eq!(data_path("").unwrap(), "");
        assert_eq!(data_path("lo").unwrap(), "127.0.0.1");
        assert_eq!(data_path("10.0.0.1").unwrap(), "10.0.0.1");
        for bad in ["nothere0", "0.0.0.0", "1.2.3.4:77", "300.1.1.1"] {
            let refusal = data_path(bad).unwrap_err().to_string();
            assert!(
                refusal.contains("data path address must be a non-zero"),
                "{refusal}"
            );
        }
    }
}
