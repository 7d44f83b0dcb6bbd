//! What is cleaned up after a container has left its networks, in the background.

use super::endpoint::Endpoint;
use super::table::{Inner, NetworkTable};
use crate::error::{Result, system};
use shoal_node_core_host::netplan::{self, Protocol};
use shoal_node_drivers_network::conntrack;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A cable goes by itself with the last holder of its namespace; this is when one is looked for that did not.
pub(super) const LEFT_OVER: Duration = Duration::from_millis(300);

/// The thread ends with the table.
pub(super) fn start(inner: &Arc<Inner>, left: Receiver<Vec<Endpoint>>) -> Result<()> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("cables".into())
        .stack_size(256 << 10)
        .spawn(move || work(&weak, &left))
        .map(drop)
        .map_err(|e| system(format!("start the thread that pulls cables: {e}")))
}

fn work(table: &Weak<Inner>, left: &Receiver<Vec<Endpoint>>) {
    let mut pending: Vec<String> = Vec::new();
    let mut due = Instant::now();
    loop {
        let next = if pending.is_empty() {
            left.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            left.recv_timeout(due.saturating_duration_since(Instant::now()))
        };
        match next {
            Ok(endpoints) => {
                forget_datagrams(&endpoints);
                if pending.is_empty() {
                    due = Instant::now() + LEFT_OVER;
                }
                pending.extend(endpoints.iter().filter_map(|e| e.host_link().map(Into::into)));
            }
            Err(RecvTimeoutError::Timeout) => {
                let Some(inner) = table.upgrade() else { return };
                pull(&inner, &std::mem::take(&mut pending));
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Clients that keep sending to a published port must reach the next container that publishes it.
fn forget_datagrams(endpoints: &[Endpoint]) {
    let udp = |e: &&Endpoint| e.published.iter().any(|p| p.protocol == "udp");
    let addresses: BTreeSet<IpAddr> = endpoints.iter().filter(udp).flat_map(|e| e.addresses()).collect();
    if let Err(error) = conntrack::forget(Protocol::Udp, &addresses) {
        tracing::warn!(%error, "datagrams of a stopped container may still be sent to it");
    }
}

/// A namespace that another container shares outlives the one that it was made for.
fn pull(inner: &Arc<Inner>, links: &[String]) {
    let table = NetworkTable { inner: inner.clone() };
    let there = match inner.links.list_ours(&netplan::link_prefix(&inner.sid)) {
        Ok(there) => there,
        Err(error) => return tracing::warn!(%error, "cables could not be listed"),
    };
    for link in there
        .iter()
        .filter(|link| links.contains(link) && !table.is_held(link))
    {
        if let Err(error) = inner.links.unplug(link) {
            tracing::warn!(link, %error, "a cable could not be pulled");
        }
    }
    // Which frames went to them is forgotten, too.
    table.shorten_again();
}
