//! WireGuard spoken by a thread of this daemon, between a TUN interface and a UDP socket. The protocol itself is
//! `boringtun`'s; here is who is whose, and the loop.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use boringtun::noise::errors::WireGuardError;
use boringtun::noise::handshake::parse_handshake_anon;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Packet, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use shoal_node_core_host::overlay::{Key, Tunnel, write_key};

use super::tun;
use crate::error::{Error, Result};

/// How often the protocol's clocks are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Packets taken from one side before the other has its turn.
const TURN: usize = 64;
/// More than any packet has.
const BUFFER_BYTES: usize = 66_000;
const SOCKET_BYTES: usize = 4 << 20;
/// A conversation is begun at once and not only with the first packet: an other end that remembers one with an interface that is
/// gone would send into it for a quarter of a minute. It is tried so often, for so long: the other end may not have our key yet.
const GREET_EVERY: Duration = Duration::from_millis(500);
const GREET_FOR: Duration = Duration::from_secs(10);
/// Handshakes of strangers looked into per second before they have to prove where they are.
const HANDSHAKES_MAX: u64 = 100;

/// The thread, while it is wanted: it ends with this.
pub(super) struct Running {
    index: u32,
    port: u16,
    peers: Arc<Mutex<Peers>>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

struct Peers {
    secret: StaticSecret,
    public: PublicKey,
    limiter: RateLimiter,
    next: u32,
    /// By the number that this end gave the conversation.
    all: HashMap<u32, Peer>,
    by_addr: HashMap<Ipv4Addr, u32>,
    by_key: HashMap<Key, u32>,
}

struct Peer {
    key: Key,
    /// Where it is, and the only address that it may speak for.
    addr: Ipv4Addr,
    tunn: Tunn,
    added: Instant,
    greet_at: Instant,
}

impl Running {
    pub fn start(link: &str, secret: StaticSecret, port: u16) -> Result<Running> {
        let what = |what: &str| format!("{what} of the encrypted path on port {port}");
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
            .map_err(|e| Error::io(what("open the socket"), e))?;
        socket
            .set_nonblocking(true)
            .map_err(|e| Error::io(what("set up the socket"), e))?;
        // The kernel gives as much of it as it allows.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BYTES);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BYTES);
        let file = tun::create(link)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::io(what("make the signal"), e))?;
        let (stop, public) = (Arc::new(stop), PublicKey::from(&secret));
        let peers = Arc::new(Mutex::new(Peers {
            limiter: RateLimiter::new(&public, HANDSHAKES_MAX),
            secret,
            public,
            next: 1,
            all: HashMap::new(),
            by_addr: HashMap::new(),
            by_key: HashMap::new(),
        }));
        let run = Loop {
            file,
            socket,
            port,
            peers: peers.clone(),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("encrypted-path".into())
            .spawn(move || run.run())
            .map_err(|e| Error::io(what("start the thread"), e))?;
        Ok(Running {
            index: 0,
            port,
            peers,
            stop,
            thread: Some(thread),
        })
    }

    pub fn with_index(mut self, index: u32) -> Running {
        self.index = index;
        self
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    /// It is at work, and for that interface.
    pub fn serves(&self, index: u32, port: u16) -> bool {
        let alive = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        alive && self.index == index && self.port == port
    }

    /// Brings the peers to the plan. Answers what differed.
    pub fn bring(&mut self, wanted: &Tunnel, change: bool) -> Vec<String> {
        let mut peers = self.peers.lock();
        let mut found = Vec::new();
        let gone: Vec<u32> = peers
            .all
            .iter()
            .filter(|(_, peer)| wanted.peers.get(&peer.key) != Some(&peer.addr))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            let Some(key) = peers.all.get(&id).map(|peer| peer.key) else {
                continue;
            };
            found.push(format!("remove {} from {}", write_key(&key), wanted.link));
            if change {
                peers.remove(id);
            }
        }
        for (key, addr) in &wanted.peers {
            if peers.by_key.contains_key(key) {
                continue;
            }
            found.push(format!("reach {addr} by {} on {}", write_key(key), wanted.link));
            if change {
                peers.add(*key, *addr);
            }
        }
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Peers {
    fn add(&mut self, key: Key, addr: Ipv4Addr) {
        let id = self.next;
        // Conversations are told apart by 24 bits.
        self.next = self.next % 0x00ff_fffe + 1;
        let tunn = Tunn::new(self.secret.clone(), PublicKey::from(key), None, None, id, None);
        self.by_key.insert(key, id);
        self.by_addr.insert(addr, id);
        let now = Instant::now();
        let peer = Peer {
            key,
            addr,
            tunn,
            added: now,
            greet_at: now,
        };
        self.all.insert(id, peer);
    }

    fn remove(&mut self, id: u32) {
        if let Some(peer) = self.all.remove(&id) {
            self.by_key.remove(&peer.key);
            self.by_addr.retain(|_, of| *of != id);
        }
    }

    /// Whose datagram it is.
    fn sender(&mut self, datagram: &[u8], from: IpAddr, buffer: &mut [u8]) -> Option<Sender<'_>> {
        let id = match Tunn::parse_incoming_packet(datagram).ok()? {
            Packet::HandshakeResponse(p) => p.receiver_idx >> 8,
            Packet::PacketCookieReply(p) => p.receiver_idx >> 8,
            Packet::PacketData(p) => p.receiver_idx >> 8,
            Packet::HandshakeInit(_) => {
                // Strangers cost a hash, not a multiplication on the curve.
                match self.limiter.verify_packet(Some(from), datagram, buffer) {
                    Ok(Packet::HandshakeInit(p)) => {
                        let half = parse_handshake_anon(&self.secret, &self.public, &p).ok()?;
                        *self.by_key.get(&half.peer_static_public)?
                    }
                    Err(TunnResult::WriteToNetwork(cookie)) => {
                        return Some(Sender::Doubtful(cookie.to_vec()));
                    }
                    _ => return None,
                }
            }
        };
        self.all.get_mut(&id).map(Sender::Peer)
    }
}

enum Sender<'p> {
    Peer(&'p mut Peer),
    /// Shall prove that it gets what is sent to its address.
    Doubtful(Vec<u8>),
}

struct Loop {
    file: File,
    socket: UdpSocket,
    port: u16,
    peers: Arc<Mutex<Peers>>,
    stop: Arc<OwnedFd>,
}

impl Loop {
    /// Until it is stopped or its interface is gone; then the next look at the networks starts another.
    fn run(mut self) {
        let mut packet = vec![0; BUFFER_BYTES];
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut next_tick = Instant::now() + TICK;
        loop {
            if !matches!(self.wait(next_tick), Ok(true)) {
                return;
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.tick(&mut buffer);
            }
            let moved = self.leave(&mut packet, &mut buffer);
            if moved
                .and_then(|()| self.arrive(&mut packet, &mut buffer))
                .is_err()
            {
                return;
            }
        }
    }

    /// False when it is to stop.
    fn wait(&self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [
            PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(fds[2].revents().is_empty()),
            Err(e) => Err(e.into()),
        }
    }

    /// From the interface to the others.
    fn leave(&mut self, packet: &mut [u8], buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN {
            let length = match self.file.read(packet) {
                Ok(length) => length,
                Err(e) if is_later(&e) => return Ok(()),
                // The interface is gone.
                Err(e) => return Err(e),
            };
            let packet = &packet[..length];
            let mut peers = self.peers.lock();
            let Some(IpAddr::V4(to)) = Tunn::dst_address(packet) else {
                continue;
            };
            let Some(id) = peers.by_addr.get(&to).copied() else {
                continue;
            };
            if let Some(peer) = peers.all.get_mut(&id)
                && let TunnResult::WriteToNetwork(sealed) = peer.tunn.encapsulate(packet, buffer)
            {
                self.send(sealed, peer.addr);
            }
        }
        Ok(())
    }

    /// From the others to the interface.
    fn arrive(&mut self, packet: &mut [u8], buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN {
            let (length, from) = match self.socket.recv_from(packet) {
                Ok(got) => got,
                Err(e) if is_later(&e) => return Ok(()),
                // Word of what could not be delivered; the protocol repeats what matters.
                Err(e) if e.kind() != ErrorKind::InvalidInput => continue,
                Err(e) => return Err(e),
            };
            let peers = self.peers.clone();
            let mut peers = peers.lock();
            match peers.sender(&packet[..length], from.ip(), buffer) {
                None => {}
                Some(Sender::Doubtful(cookie)) => {
                    let _ = self.socket.send_to(&cookie, from);
                }
                Some(Sender::Peer(peer)) => self.open(peer, &packet[..length], from, buffer)?,
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        peer: &mut Peer,
        sealed: &[u8],
        from: SocketAddr,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let mut sealed = sealed;
        loop {
            match peer.tunn.decapsulate(Some(from.ip()), sealed, buffer) {
                // What waited for the conversation to begin comes with empty calls.
                TunnResult::WriteToNetwork(answer) => {
                    self.send(answer, peer.addr);
                    sealed = &[];
                }
                // Whoever it says it is from: each key speaks for one address.
                TunnResult::WriteToTunnelV4(packet, source) if source == peer.addr => {
                    return match self.file.write(packet) {
                        Err(e) if e.raw_os_error() == Some(libc::EBADFD) => Err(e),
                        _ => Ok(()),
                    };
                }
                _ => return Ok(()),
            }
        }
    }

    fn tick(&mut self, buffer: &mut [u8]) {
        let mut peers = self.peers.lock();
        peers.limiter.reset_count();
        let now = Instant::now();
        for peer in peers.all.values_mut() {
            let silent = peer.tunn.stats().0.is_none() && now < peer.added + GREET_FOR;
            if silent && now >= peer.greet_at {
                peer.greet_at = now + GREET_EVERY;
                if let TunnResult::WriteToNetwork(message) =
                    peer.tunn.format_handshake_initiation(buffer, true)
                {
                    let to = SocketAddrV4::new(peer.addr, self.port);
                    let _ = self.socket.send_to(message, to);
                }
                continue;
            }
            match peer.tunn.update_timers(buffer) {
                TunnResult::WriteToNetwork(message) => {
                    let to = SocketAddrV4::new(peer.addr, self.port);
                    let _ = self.socket.send_to(message, to);
                }
                // It begins again with the next packet.
                TunnResult::Err(WireGuardError::ConnectionExpired) => {}
                _ => {}
            }
        }
    }

    /// What cannot be sent is lost, as on any wire.
    fn send(&self, message: &[u8], to: Ipv4Addr) {
        let _ = self.socket.send_to(message, SocketAddrV4::new(to, self.port));
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
