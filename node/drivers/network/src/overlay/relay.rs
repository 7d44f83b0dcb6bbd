//! Published ports whose connections end on this node: accepted here, and passed on to a task behind a header that says who
//! the client is (the PROXY protocol, version 2).
//!
//! The packet rules lead such a port to a listener on the node's own place on the ingress network, whose port the kernel
//! chooses. Connections last as long as both ends and this daemon do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use shoal_node_core_host::overlay::{Balance, Ingress, Target, Vip};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::Walk;
use crate::conntrack::Asked;
use crate::error::{Error, Result};
use crate::expression::octets;
use crate::passing::{Door, accept, connection, datagrams};

/// A task has so long to take a connection before the next one is asked.
const CONNECT: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(super) struct Relays {
    /// The running ones, by what they are asked for.
    of: BTreeMap<Vip, Relay>,
    /// These take what comes to any published port at `::1` and pass it on to the same port at 127.0.0.1.
    here: Option<Relay>,
    datagrams_here: Option<Datagrams>,
}

/// The ports of `::1` that take what comes to published ports there, as far as they could be had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Here {
    pub streams: Option<u16>,
    pub datagrams: Option<u16>,
}

/// Ends with this.
#[derive(Debug)]
struct Datagrams {
    port: u16,
    door: Arc<Door<tokio::net::UdpSocket>>,
    task: JoinHandle<()>,
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.door.shut();
        self.task.abort();
    }
}

/// Ends with this; connections under way go on.
#[derive(Debug)]
struct Relay {
    at: SocketAddr,
    targets: Arc<Mutex<Vec<Target>>>,
    door: Arc<Door<tokio::net::TcpListener>>,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.door.shut();
        self.task.abort();
    }
}

impl Relays {
    pub fn end(&mut self) {
        self.of.clear();
        self.here = None;
        self.datagrams_here = None;
    }
}

impl Walk<'_> {
    /// Brings the relays to the plan. Answers where ports lead, relays among them.
    pub(super) fn relays(&mut self, ingress: &Ingress, relays: &mut Relays) -> Balance {
        let mut balance = ingress.balance.clone();
        let own = |vip: &Vip| match vip.is_v6() {
            false => Some(IpAddr::V4(ingress.address.addr())),
            true => ingress.address6.map(|net| IpAddr::V6(net.addr())),
        };
        if self.change {
            let stays = |vip: &Vip, relay: &Relay| {
                ingress.relayed.contains_key(vip)
                    && own(vip) == Some(relay.at.ip())
                    && !relay.task.is_finished()
            };
            relays.of.retain(|vip, relay| stays(vip, relay));
        }
        for (vip, targets) in &ingress.relayed {
            let Some(address) = own(vip) else { continue };
            if !relays.of.contains_key(vip) {
                self.found.push(format!("accept connections by {vip:?}"));
                match self.change.then(|| Relay::start(address)) {
                    None => {}
                    Some(Ok(relay)) => drop(relays.of.insert(*vip, relay)),
                    Some(Err(error)) => self.fail(error),
                }
            }
            match relays.of.get(vip) {
                Some(relay) => {
                    relay.lead_to(targets);
                    let (address, port) = (relay.at.ip(), relay.at.port());
                    balance.set(*vip, [Target { address, port }]);
                }
                // Refused, rather than passed on without a word.
                None => balance.set(*vip, []),
            }
        }
        balance
    }
}

impl Walk<'_> {
    /// Nothing is taken where it cannot be, as on a host without `::1`.
    pub(super) fn relay_here(&mut self, relays: &mut Relays) -> Here {
        if self.change && relays.here.as_ref().is_none_or(|relay| relay.task.is_finished()) {
            let started = Relay::serve(Ipv6Addr::LOCALHOST.into(), Arc::default(), |client, _| {
                let asked = original_target(&client).map(|asked| asked.port());
                connection(client, asked.map(|port| (Ipv4Addr::LOCALHOST, port).into()))
            });
            relays.here = started.ok();
        }
        let ended = |datagrams: &Datagrams| datagrams.task.is_finished();
        if self.change && relays.datagrams_here.as_ref().is_none_or(ended) {
            relays.datagrams_here = Datagrams::start().ok();
        }
        Here {
            streams: relays.here.as_ref().map(|relay| relay.at.port()),
            datagrams: relays.datagrams_here.as_ref().map(|datagrams| datagrams.port),
        }
    }
}

impl Datagrams {
    fn start() -> Result<Datagrams> {
        let failed = |e| Error::io("take datagrams at ::1 to pass them on", e);
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| failed(io::Error::other(e)))?;
        let _inside = runtime.enter();
        let at = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
        let socket = std::net::UdpSocket::bind(at).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        let at = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
        let door = Door::new(tokio::net::UdpSocket::from_std(socket).map_err(failed)?);
        let asked = Asked::open()?;
        // Each time: a client's port may have become another client's, who asks for something else.
        let lead = move |client| match client {
            SocketAddr::V6(client) => {
                let port = asked.port(client, at)?;
                Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            }
            SocketAddr::V4(_) => None,
        };
        let task = runtime.spawn(datagrams(door.clone(), lead));
        Ok(Datagrams { port, door, task })
    }
}

impl Relay {
    fn start(address: IpAddr) -> Result<Relay> {
        let targets = Arc::new(Mutex::new(Vec::new()));
        let known = targets.clone();
        let turn = AtomicUsize::new(0);
        Relay::serve(address, targets, move |client, from| {
            let mut all: Vec<Target> = known.lock().clone();
            let first = turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1);
            all.rotate_left(first);
            pass_on(client, from, all)
        })
    }

    fn serve<F>(
        address: IpAddr,
        targets: Arc<Mutex<Vec<Target>>>,
        with: impl Fn(TcpStream, SocketAddr) -> F + Send + 'static,
    ) -> Result<Relay>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let failed = |e| Error::io(format!("listen on {address} for connections to pass on"), e);
        // The calling thread belongs to the daemon's runtime.
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| failed(io::Error::other(e)))?;
        let _inside = runtime.enter();
        let listener = TcpListener::bind((address, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let door = Door::new(tokio::net::TcpListener::from_std(listener).map_err(failed)?);
        let task = runtime.spawn(accept(door.clone(), with));
        Ok(Relay {
            at,
            targets,
            door,
            task,
        })
    }

    fn lead_to(&self, targets: &BTreeSet<Target>) {
        *self.targets.lock() = targets.iter().copied().collect();
    }
}

/// Whatever ends it is seen by both ends, as on any connection.
async fn pass_on(mut client: TcpStream, from: SocketAddr, targets: Vec<Target>) {
    let asked = original_target(&client).unwrap_or(from);
    for target in targets {
        let tried = tokio::time::timeout(CONNECT, TcpStream::connect((target.address, target.port))).await;
        let Ok(Ok(mut task)) = tried else { continue };
        let _ = task.set_nodelay(true);
        let _ = client.set_nodelay(true);
        if task.write_all(&header(from, asked)).await.is_ok() {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut task).await;
        }
        return;
    }
}

/// What the client asked for, before the packet rules led it here.
fn original_target(client: &TcpStream) -> Option<SocketAddr> {
    let v6 = client.local_addr().ok()?.is_ipv6();
    match v6 {
        false => rustix::net::sockopt::ip_original_dst(client)
            .ok()
            .map(SocketAddr::V4),
        true => rustix::net::sockopt::ipv6_original_dst(client)
            .ok()
            .map(SocketAddr::V6),
    }
}

/// The header of version 2, for a connection of TCP.
fn header(source: SocketAddr, target: SocketAddr) -> Vec<u8> {
    const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
    const VERSION_2_PROXY: u8 = 0x21;
    const TCP_4: u8 = 0x11;
    const TCP_6: u8 = 0x21;
    let mut bytes = SIGNATURE.to_vec();
    bytes.push(VERSION_2_PROXY);
    bytes.push(if source.is_ipv6() { TCP_6 } else { TCP_4 });
    let mut addresses = octets(source.ip());
    addresses.extend(octets(target.ip()));
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(target.port().to_be_bytes());
    bytes.extend((addresses.len() as u16).to_be_bytes());
    bytes.extend(addresses);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_version_2() {
        let four = header("192.0.2.7:1000".parse().unwrap(), "192.0.2.1:80".parse().unwrap());
        assert_eq!(&four[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(&four[16..], [192, 0, 2, 7, 192, 0, 2, 1, 3, 232, 0, 80]);
        let six = header(
            "[2001:db8::7]:1000".parse().unwrap(),
            "[2001:db8::1]:80".parse().unwrap(),
        );
        assert_eq!((six[13], six[15], six.len()), (0x21, 36, 52));
    }
}
