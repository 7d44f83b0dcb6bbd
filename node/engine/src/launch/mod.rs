//! One start of a container, from its configuration to a running process.
//!
//! ```text
//!   allocate ─┬─ network namespace made ────────┬─ cables plugged ───────┐
//!             └─ identity, files, specification ─┴─ shim and process made ─┴─ gate opened: exec
//! ```
//! What can go at the same time goes at the same time; the process waits at its gate until its network is there.

mod devices;
mod files;
mod identity;
mod joins;
mod links;
mod mounts;
mod prepare;
mod requests;
mod seccomp;

pub use files::{HOSTNAME, HOSTS, RESOLV_CONF, networks_changed};
pub use identity::{Source, apparmor, owner};
pub use links::{are_legacy as links_are_legacy, ends as links, unlinked};
pub use mounts::mounts;
pub use prepare::{ExecWish, exec_process, exec_user, with_mount_points};
pub use seccomp::Seccomp;

use crate::clock;
use crate::containers::{EXIT, Kit, Record, Run, Waiting};
use crate::error::{Error, invalid, system};
use crate::networks::{Endpoint, is_shown};
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_network::Netns;
use shoal_node_drivers_shim::{self as shim, Running, Shim};
use std::path::Path;
use std::sync::Arc;

/// What is to be started.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub kit: &'a Arc<Kit>,
    pub record: &'a Arc<Record>,
    pub dir: &'a Path,
    pub run_dir: &'a Path,
    pub waiting: &'a Waiting,
}

pub struct Started {
    pub shim: Shim,
    pub running: Running,
}

/// Nothing of the attempt is left but what `run` says is held of the networks.
pub struct Failure {
    pub exit_code: i32,
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure {
            exit_code: 128,
            error,
        }
    }
}

pub async fn launch(order: Order<'_>, run: &mut Run) -> Result<Started, Failure> {
    let Order {
        kit,
        record,
        dir,
        run_dir,
        waiting,
    } = order;
    // One overlay at a time over the container's own layer.
    let _alone = kit.views.close(&record.id).await;
    crate::files::remove_file(&dir.join(EXIT))
        .map_err(crate::error::io("clear the last exit of", &record.id))?;
    let network = joins::network(kit, record)?;
    let of_another = matches!(network, joins::Network::Of { .. });
    if !of_another && !record.config.network_disabled {
        let networks = kit.networks.clone();
        let record = record.clone();
        let places = networks.places(&record).await?;
        let (id, taken) = (record.id.clone(), places.clone());
        let allocated = blocking(move || networks.allocate(&record, &places)).await;
        if allocated.is_err() {
            for placed in taken.values() {
                kit.networks.leave_place(&placed.network, &id);
            }
        }
        run.endpoints = allocated?;
    }
    // From here on a daemon that finds this container again knows what it holds.
    let mut noted = run.clone();
    noted.state.phase = Phase::Running;
    noted.state.started_at = clock::now();
    let places = kit.volumes.mount_all(record).await?;
    let mapped = kit.ids_of(record)?.is_some();
    let netns = async {
        match network {
            joins::Network::Bridged | joins::Network::None if !mapped => {}
            _ => return Ok(None),
        }
        let networks = kit.networks.clone();
        blocking(move || networks.netns()).await.map(Some)
    };
    let prepared = async {
        let (kit, record, dir, run_dir) = (kit.clone(), record.clone(), dir.to_owned(), run_dir.to_owned());
        let network = network.clone();
        blocking(move || prepare::prepare(&kit, &record, &dir, &run_dir, network, &noted, &places)).await
    };
    let (netns, prepared) = tokio::try_join!(netns, prepared)?;
    let fd = match &netns {
        Some(netns) => Some(netns.try_clone_fd().map_err(|e| system(e.to_string()))?),
        None => prepared.netns,
    };
    let process = async {
        kit.launcher
            .launch(&prepared.launch, fd)
            .await
            .map_err(not_started)
    };
    let plugged = plug(kit, record, netns, &run.endpoints);
    let (process, mut plugged) = tokio::join!(process, plugged);
    drop(prepared.held);
    let (shim, running) = process?;
    if mapped && !of_another {
        let alone = network == joins::Network::None;
        plugged = plug_into(kit, record, &running, alone, &run.endpoints).await;
    }
    if let Err(error) = plugged {
        abandon(&shim).await;
        return Err(error.into());
    }
    waiting.connect(&shim).await;
    if let Err(error) = shim.start().await {
        let failure = not_started(error);
        abandon(&shim).await;
        return Err(failure);
    }
    kit.volumes.told(true, record);
    for endpoint in run.endpoints.iter().filter(|e| is_shown(record, e)) {
        kit.networks.emit("connect", endpoint, &record.id);
    }
    let moved = {
        let (kit, record, endpoints) = (kit.clone(), record.clone(), run.endpoints.clone());
        move || links::moved(&kit, &record, &endpoints)
    };
    if kit.registry.any_linked() {
        let _ = tokio::task::spawn_blocking(moved).await;
    }
    Ok(Started { shim, running })
}

async fn plug(
    kit: &Arc<Kit>,
    record: &Arc<Record>,
    netns: Option<Netns>,
    endpoints: &[Endpoint],
) -> Result<(), Error> {
    let Some(netns) = netns else { return Ok(()) };
    let (networks, record, endpoints) = (kit.networks.clone(), record.clone(), endpoints.to_vec());
    blocking(move || networks.plug(netns, &record, &endpoints)).await
}

/// The namespace belongs to the process's user namespace and is there since its clone.
async fn plug_into(
    kit: &Arc<Kit>,
    record: &Arc<Record>,
    running: &Running,
    alone: bool,
    endpoints: &[Endpoint],
) -> Result<(), Error> {
    let (networks, record, endpoints) = (kit.networks.clone(), record.clone(), endpoints.to_vec());
    let pid = running.pid;
    blocking(move || {
        let netns = networks.netns_of(pid, alone)?;
        networks.plug(netns, &record, &endpoints)
    })
    .await
}

/// The process was made but must not run; waits until it is gone, so that a new attempt finds nothing of it.
async fn abandon(shim: &Shim) {
    let _ = shim.signal(9).await;
    let _ = tokio::time::timeout(std::time::Duration::from_secs(10), shim.exited()).await;
}

fn not_started(error: shim::Error) -> Failure {
    match error {
        shim::Error::NotStarted(reason) => {
            let message = format!("failed to create task for container: {}", reason.message);
            let error = if matches!(reason.code, 126 | 127) {
                invalid(message)
            } else {
                system(message)
            };
            Failure {
                exit_code: reason.code,
                error,
            }
        }
        other => system(format!("failed to create task for container: {other}")).into(),
    }
}

/// Runs what may wait for the disk or the kernel away from the asynchronous threads.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(system(format!("a worker ended: {e}"))),
    }
}
