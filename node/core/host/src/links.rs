//! What a legacy link (`--link` on the default bridge) tells a container of another: Docker's environment variables.

use super::ports;
use std::net::IpAddr;

/// The other end of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link<'a> {
    /// As the container calls it.
    pub alias: &'a str,
    /// `/NAME/ALIAS`, NAME being the container that has the link.
    pub path: &'a str,
    pub address: IpAddr,
    /// Exposed ports of the other, `80/tcp`; what is no port is left out.
    pub exposed: Vec<&'a str>,
    /// The other's configured environment.
    pub env: &'a [String],
}

/// Docker's variables of one link.
pub fn env(link: &Link<'_>) -> Vec<String> {
    let alias = link.alias.to_uppercase().replace('-', "_");
    let address = link.address;
    let mut exposed: Vec<(u16, &str)> = link.exposed.iter().filter_map(|p| ports::parse(p).ok()).collect();
    // By protocol, tcp first.
    exposed.sort_by_key(|(port, protocol)| (*protocol != "tcp", *protocol, *port));
    let name = |(port, protocol): (u16, &str)| format!("{alias}_PORT_{port}_{}", protocol.to_uppercase());
    let url = |(port, protocol): (u16, &str)| format!("{protocol}://{address}:{port}");
    let mut out = Vec::new();
    if let Some(first) = exposed.first() {
        out.push(format!("{alias}_PORT={}", url(*first)));
    }
    for run in exposed.chunk_by(|a, b| a.1 == b.1 && a.0.checked_add(1) == Some(b.0)) {
        for one in run {
            let name = name(*one);
            out.push(format!("{name}={}", url(*one)));
            out.push(format!("{name}_ADDR={address}"));
            out.push(format!("{name}_PORT={}", one.0));
            out.push(format!("{name}_PROTO={}", one.1));
        }
        if let [first, .., last] = run {
            let name = name(*first);
            out.push(format!("{name}_START={}", url(*first)));
            out.push(format!("{name}_PORT_START={}", first.0));
            out.push(format!("{name}_END={}", url(*last)));
            out.push(format!("{name}_PORT_END={}", last.0));
        }
    }
    out.push(format!("{alias}_NAME={}", link.path));
    for (key, value) in link.env.iter().filter_map(|entry| entry.split_once('=')) {
        if !matches!(key, "HOME" | "PATH") {
            out.push(format!("{alias}_ENV_{key}={value}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(exposed: Vec<&str>, own: &[String]) -> Vec<String> {
        env(&Link {
            alias: "my-db",
            path: "/web/my-db",
            address: IpAddr::from([172, 17, 0, 2]),
            exposed,
            env: own,
        })
    }

    #[test]
    fn one_port_and_an_environment() {
        let own = ["A=b=c", "PATH=/bin", "HOME=/", "bare"].map(String::from);
        assert_eq!(
            of(vec!["5432/tcp", "nonsense"], &own),
            [
                "MY_DB_PORT=tcp://172.17.0.2:5432",
                "MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432",
                "MY_DB_PORT_5432_TCP_ADDR=172.17.0.2",
                "MY_DB_PORT_5432_TCP_PORT=5432",
                "MY_DB_PORT_5432_TCP_PROTO=tcp",
                "MY_DB_NAME=/web/my-db",
                "MY_DB_ENV_A=b=c",
            ]
        );
        assert_eq!(of(Vec::new(), &[]), ["MY_DB_NAME=/web/my-db"]);
    }

    #[test]
    fn a_range_has_a_start_and_an_end() {
        let out = of(vec!["81/tcp", "53/udp", "80/tcp", "90/tcp"], &[]);
        assert_eq!(out[0], "MY_DB_PORT=tcp://172.17.0.2:80");
        assert_eq!(
            &out[9..13],
            [
                "MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
                "MY_DB_PORT_80_TCP_PORT_START=80",
                "MY_DB_PORT_80_TCP_END=tcp://172.17.0.2:81",
                "MY_DB_PORT_80_TCP_PORT_END=81",
            ],
            "{out:?}"
        );
        assert_eq!(out.iter().filter(|v| v.contains("_START=")).count(), 2, "{out:?}");
    }
}
