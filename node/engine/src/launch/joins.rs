//! Which namespaces a container has for itself, shares with the host, or shares with another container.

use crate::containers::{Kit, Record};
use crate::error::{Error, Result, conflict, invalid};
use shoal_api_backend::Class;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_core_host::ocispec::{Namespaces, Ns};
use std::path::PathBuf;

/// Where the network comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    Host,
    /// Loopback only.
    None,
    Bridged,
    /// Of a running process.
    Of {
        pid: i32,
        id: String,
    },
}

pub fn network(kit: &Kit, record: &Record) -> Result<Network> {
    match record.host.network_mode.as_str() {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        _ if record.config.network_disabled => Ok(Network::None),
        mode => match mode.strip_prefix("container:") {
            Some(_) if kit.ids_of(record)?.is_some() => Err(foreign("network namespace")),
            Some(reference) => {
                let joining = |e: Error| match e.class {
                    Class::NotFound => {
                        invalid(format!("joining network namespace of container: {}", e.message))
                    }
                    _ => e,
                };
                let (pid, id) = running(kit, record, reference, "network").map_err(joining)?;
                Ok(Network::Of { pid, id })
            }
            None => Ok(Network::Bridged),
        },
    }
}

/// The other namespaces. The network's is known already.
pub fn namespaces(kit: &Kit, record: &Record, network: &Network) -> Result<Namespaces> {
    let host = &record.host;
    let network = match network {
        Network::Host => Ns::Host,
        Network::None | Network::Bridged => Ns::Own,
        Network::Of { pid, .. } => Ns::Of(namespace(*pid, "net")),
    };
    let mapped = kit.ids_of(record)?.is_some();
    let of = |mode: &str, what: &'static str, file: &str| -> Result<Ns> {
        match mode {
            "host" => Ok(Ns::Host),
            mode => match mode.strip_prefix("container:") {
                Some(_) if mapped => Err(foreign(what)),
                Some(reference) => Ok(Ns::Of(namespace(running(kit, record, reference, what)?.0, file))),
                None => Ok(Ns::Own),
            },
        }
    };
    // Docker: a container in the host's network also has the host's name, unless it was given one.
    let uts = match (host.uts_mode.as_str(), &network) {
        ("host", _) => Ns::Host,
        _ => Ns::Own,
    };
    let private_cgroup = match host.cgroupns_mode.as_str() {
        "private" => true,
        "host" => false,
        _ => kit.host.cgroup_v2 && !host.privileged,
    };
    Ok(Namespaces {
        pid: of(&host.pid_mode, "PID namespace", "pid")?,
        ipc: of(&host.ipc_mode, "IPC namespace", "ipc")?,
        uts,
        cgroup: if private_cgroup { Ns::Own } else { Ns::Host },
        network,
    })
}

/// Each container's user namespace is its own, and owns its other namespaces.
fn foreign(what: &str) -> Error {
    invalid(format!(
        "cannot share another container's {what} when user namespaces are enabled: use --userns=host for both"
    ))
}

fn namespace(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/{file}"))
}

/// The process of the container that is to be joined, and its full id.
pub fn running(kit: &Kit, record: &Record, reference: &str, what: &str) -> Result<(i32, String)> {
    let handle = kit.registry.get(reference)?;
    if handle.id() == record.id {
        return Err(invalid(format!("cannot join own {what}")));
    }
    let view = handle.view();
    match view.phase() {
        Phase::Running | Phase::Paused if view.state.pid > 0 => Ok((view.state.pid, handle.id().to_string())),
        Phase::Restarting => Err(restarting(handle.id())),
        _ => Err(conflict(format!(
            "cannot join {what} of a non running container: {}",
            handle.id()
        ))),
    }
}

fn restarting(id: &str) -> Error {
    conflict(format!(
        "Container {id} is restarting, wait until the container is running"
    ))
}

/// Another container's /dev/shm, as the runtime finds it from inside.
pub fn shm_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root/dev/shm"))
}
