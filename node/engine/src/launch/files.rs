//! The three files of a container that the engine writes: who it is, who its neighbours are, who resolves names.

use super::joins::Network;
use crate::containers::{Kit, Record};
use crate::error::{Result, io};
use crate::files;
use crate::networks::{Endpoint, HOST_FILE, is_shown, name_wishes};
use shoal_node_core_host::resolvconf::{self, Place};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub const HOSTS: &str = "hosts";
pub const HOSTNAME: &str = "hostname";
pub const RESOLV_CONF: &str = "resolv.conf";

const LOCAL: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
/// systemd-resolved keeps the real servers here; `/etc/resolv.conf` then only names its own stub.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// Writes what this start needs; answers what is to be mounted where.
pub fn write(
    kit: &Kit,
    record: &Record,
    dir: &Path,
    network: &Network,
    endpoints: &[Endpoint],
) -> Result<Vec<(PathBuf, &'static str)>> {
    let from = match network {
        // A shared network comes with the files of the container that it belongs to.
        Network::Of { id, .. } => {
            let other = kit.registry.get(id)?;
            let of_other = |name: &str| other.dir().join(name);
            return Ok(targets(
                of_other(HOSTS),
                of_other(HOSTNAME),
                of_other(RESOLV_CONF),
            ));
        }
        network => network,
    };
    // Written anew at every start, while nobody reads them.
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        files::overwrite(&path, text.as_bytes(), 0o644).map_err(io("write", path.display()))
    };
    put(HOSTNAME, format!("{}\n", record.config.hostname))?;
    put(HOSTS, hosts(kit, record, from, endpoints))?;
    put(RESOLV_CONF, resolv_conf(record, place(from, endpoints)))?;
    Ok(targets(
        dir.join(HOSTS),
        dir.join(HOSTNAME),
        dir.join(RESOLV_CONF),
    ))
}

fn targets(hosts: PathBuf, hostname: PathBuf, resolv_conf: PathBuf) -> Vec<(PathBuf, &'static str)> {
    vec![
        (resolv_conf, "/etc/resolv.conf"),
        (hostname, "/etc/hostname"),
        (hosts, "/etc/hosts"),
    ]
}

fn hosts(kit: &Kit, record: &Record, network: &Network, endpoints: &[Endpoint]) -> String {
    let host_text = || std::fs::read_to_string("/etc/hosts").ok();
    let mut text = match network {
        Network::Host => host_text().unwrap_or_else(|| LOCAL.into()),
        _ => LOCAL.to_string(),
    };
    for extra in record.host.extra_hosts.iter() {
        let Some((name, address)) = extra.split_once(['=', ':']) else {
            continue;
        };
        let address = match address.trim_start_matches('[').trim_end_matches(']') {
            "host-gateway" => kit.networks.host_gateway().to_string(),
            address => address.to_string(),
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    // Those whom it is linked to on the default bridge; elsewhere the resolver knows them.
    if endpoints.iter().all(|e| !e.has_names()) {
        text.push_str(&super::links::hosts(kit, record));
    }
    for endpoint in endpoints.iter().filter(|e| is_shown(record, e)) {
        for address in endpoint.addresses() {
            text.push_str(&own_line(record, address));
        }
    }
    text
}

fn own_line(record: &Record, address: IpAddr) -> String {
    let names = match record.config.domainname.as_str() {
        "" => record.config.hostname.clone(),
        domain => format!("{0}.{domain} {0}", record.config.hostname),
    };
    format!("{address}\t{names}\n")
}

fn place(network: &Network, endpoints: &[Endpoint]) -> Place {
    match network {
        Network::Host => Place::Host,
        _ if endpoints.iter().any(Endpoint::has_names) => Place::Resolver,
        _ => Place::Own,
    }
}

/// Brings the files of a running container up to date with its networks. They are changed where they lie, for the container
/// has them mounted; what somebody changed by hand stays as it is.
pub fn networks_changed(record: &Record, dir: &Path, before: &[Endpoint], after: &[Endpoint]) -> Result<()> {
    let path = dir.join(HOSTS);
    fn fail(path: &Path) -> impl FnOnce(std::io::Error) -> crate::error::Error + use<> {
        io("write", path.display().to_string())
    }
    let old = std::fs::read_to_string(&path).map_err(fail(&path))?;
    let addresses = |all: &[Endpoint]| all.iter().flat_map(Endpoint::addresses).collect::<Vec<_>>();
    let (were, are) = (addresses(before), addresses(after));
    let mut text: String = old
        .lines()
        .filter(|line| {
            let first = line.split_whitespace().next().and_then(|word| word.parse().ok());
            !first.is_some_and(|address: IpAddr| were.contains(&address) && !are.contains(&address))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    for address in are.into_iter().filter(|address| !were.contains(address)) {
        text.push_str(&own_line(record, address));
    }
    if text != old {
        files::overwrite(&path, text.as_bytes(), 0o644).map_err(fail(&path))?;
    }
    let path = dir.join(RESOLV_CONF);
    let place = |endpoints: &[Endpoint]| place(&Network::Bridged, endpoints);
    // Docker leaves the resolver in place when the last network that had one goes.
    if place(before) == Place::Own && place(after) == Place::Resolver {
        let old = std::fs::read_to_string(&path).map_err(fail(&path))?;
        if old == resolv_conf(record, Place::Own) {
            let text = resolv_conf(record, Place::Resolver);
            files::overwrite(&path, text.as_bytes(), 0o644).map_err(fail(&path))?;
        }
    }
    Ok(())
}

fn resolv_conf(record: &Record, place: Place) -> String {
    let wishes = name_wishes(record);
    let mut path = HOST_FILE;
    let mut host = std::fs::read_to_string(path).unwrap_or_default();
    let stub_only = host
        .lines()
        .filter_map(|l| l.trim().strip_prefix("nameserver"))
        .all(|s| s.trim() == "127.0.0.53");
    if place == Place::Own
        && stub_only
        && let Ok(real) = std::fs::read_to_string(RESOLVED)
    {
        (path, host) = (RESOLVED, real);
    }
    let source = resolvconf::Source { path, text: &host };
    resolvconf::content(source, &wishes, place)
}
