//! Which namespaces a container has for itself, shares with the host, or shares with another container.

use crate::containers::{Kit, Record};
use crate::error::{Error, Result, conflict, invalid};
use shoal_api_backend::Class;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_core_host::ocispec::{Namespaces, Ns};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

pub const PID: &str = "PID namespace";
pub const IPC: &str = "IPC namespace";

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
            Some(reference) => {
                let joining = |e: Error| match e.class {
                    Class::NotFound => {
                        invalid(format!("joining network namespace of container: {}", e.message))
                    }
                    _ => e,
                };
                let (pid, id) = network_of(kit, record, reference).map_err(joining)?;
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
    let user = user(kit, record, &network)?;
    let of = |mode: &str, what: &'static str, file: &str| -> Result<Ns> {
        match mode {
            "host" => Ok(Ns::Host),
            mode => match mode.strip_prefix("container:") {
                Some(reference) => Ok(Ns::Of(namespace(running(kit, record, reference, what)?, file))),
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
        pid: of(&host.pid_mode, PID, "pid")?,
        ipc: of(&host.ipc_mode, IPC, "ipc")?,
        uts,
        cgroup: if private_cgroup { Ns::Own } else { Ns::Host },
        user,
        network,
    })
}

/// Who joins another container's namespaces is in the user namespace that these belong to.
fn user(kit: &Kit, record: &Record, network: &Ns) -> Result<Ns> {
    let Some(ids) = kit.ids_of(record)? else {
        return Ok(Ns::Own);
    };
    let mut all = Vec::new();
    let network = match network {
        Ns::Of(_) => record.host.network_mode.as_str(),
        _ => "",
    };
    for (mode, what) in [
        (network, "network namespace"),
        (record.host.pid_mode.as_str(), PID),
        (record.host.ipc_mode.as_str(), IPC),
    ] {
        let Some(reference) = mode.strip_prefix("container:") else {
            continue;
        };
        let pid = running(kit, record, reference, what)?;
        if kit.ids_of(&kit.registry.get(reference)?.view().record)?.as_ref() != Some(&ids) {
            return Err(invalid(format!(
                "cannot share the {what} of a container with another mapping of users: use the same --userns for both"
            )));
        }
        all.push(namespace(pid, "user"));
    }
    let same = |a: &PathBuf, b: &PathBuf| {
        let id = |path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
        id(a) == id(b)
    };
    match all.split_first() {
        None => Ok(Ns::Own),
        Some((first, others)) if others.iter().all(|other| same(first, other)) => Ok(Ns::Of(first.clone())),
        Some(_) => Err(invalid(
            "cannot share namespaces of two containers that have user namespaces of their own",
        )),
    }
}

fn namespace(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/{file}"))
}

/// The process of the container whose PID or IPC namespace is to be joined.
pub fn running(kit: &Kit, record: &Record, reference: &str, what: &str) -> Result<i32> {
    let wrong = |class: Class, why: String| Error::new(class, format!("failed to join {what}: {why}"));
    let handle = kit.registry.get(reference);
    let handle = handle.map_err(|e| wrong(Class::InvalidParameter, e.message))?;
    if handle.id() == record.id {
        return Err(wrong(
            Class::InvalidParameter,
            format!("container {} is this one", handle.id()),
        ));
    }
    let view = handle.view();
    match view.phase() {
        Phase::Running | Phase::Paused if view.state.pid > 0 => {}
        Phase::Restarting => return Err(wrong(Class::Conflict, restarting(handle.id()).message)),
        _ => {
            let why = format!("container {} is not running", handle.id());
            return Err(wrong(Class::Conflict, why));
        }
    }
    let shared = !matches!(view.record.host.ipc_mode.as_str(), "private" | "none");
    if what == IPC && !shared {
        let why = format!(
            "container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
            handle.id()
        );
        return Err(wrong(Class::InvalidParameter, why));
    }
    Ok(view.state.pid)
}

/// The same for its network, with its full id, in the words that Docker has for that.
fn network_of(kit: &Kit, record: &Record, reference: &str) -> Result<(i32, String)> {
    let handle = kit.registry.get(reference)?;
    if handle.id() == record.id {
        return Err(invalid("cannot join own network namespace"));
    }
    let view = handle.view();
    match view.phase() {
        Phase::Running | Phase::Paused if view.state.pid > 0 => Ok((view.state.pid, handle.id().to_string())),
        Phase::Restarting => Err(restarting(handle.id())),
        phase => Err(conflict(format!(
            "cannot join network namespace of a non running container: container {} is {}",
            view.record.name,
            phase.as_str()
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
