//! The kernel's WireGuard, over its generic netlink family.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use boringtun::x25519::{PublicKey, StaticSecret};
use shoal_node_core_host::overlay::{Key, Tunnel, write_key};

use crate::error::Result;
use crate::netlink::{Attributes, Family, Message, Request, Socket};

const HEAD_BYTES: usize = 4;
const CONTROL: u16 = 0x10;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;
const GET_DEVICE: u8 = 0;
const SET_DEVICE: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_NAME: u16 = 2;
const DEVICE_PRIVATE_KEY: u16 = 3;
const DEVICE_PUBLIC_KEY: u16 = 4;
const DEVICE_PORT: u16 = 6;
const DEVICE_PEERS: u16 = 8;
const PEER_PUBLIC_KEY: u16 = 1;
const PEER_FLAGS: u16 = 3;
const PEER_ENDPOINT: u16 = 4;
const PEER_KEEPALIVE: u16 = 5;
const PEER_ALLOWED: u16 = 9;
const REMOVE: u32 = 1;
const REPLACE_ALLOWED: u32 = 2;
const ALLOWED_FAMILY: u16 = 1;
const ALLOWED_ADDRESS: u16 = 2;
const ALLOWED_LENGTH: u16 = 3;
/// Seconds. Setting it begins the conversation at once: an other end that remembers one with an interface that is gone would
/// send into it for a quarter of a minute.
const KEEPALIVE: u16 = 25;
/// A peer takes about 100 bytes of a message, and an attribute has at most 64 KiB.
const PEERS_PER_MESSAGE: usize = 200;

pub(super) struct WireGuard {
    socket: Socket,
    family: u16,
}

#[derive(Default)]
struct Device {
    private: Key,
    public: Key,
    port: u16,
    peers: BTreeMap<Key, Peer>,
}

/// Where a peer is, and the only address that it may speak for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Peer {
    endpoint: Option<SocketAddrV4>,
    allowed: Option<Ipv4Addr>,
}

impl WireGuard {
    /// Nothing where the kernel has none; asking loads the module.
    pub fn open() -> Result<Option<WireGuard>> {
        let mut socket = Socket::open(Family::Generic)?;
        let mut request = Request::new();
        request.begin(CONTROL, 0, &[CONTROL_GET_FAMILY, 1, 0, 0]);
        request.put_text(CONTROL_FAMILY_NAME, "wireguard");
        let answers = socket.exchange(&mut request, |_| "look for the kernel's WireGuard".into());
        let family = answers.ok().and_then(|answers| {
            let id = answers.first()?.1.attributes(HEAD_BYTES).get(CONTROL_FAMILY_ID)?;
            Some(u16::from_ne_bytes(id.try_into().ok()?))
        });
        Ok(family.map(|family| WireGuard { socket, family }))
    }

    /// That of an interface that is there.
    pub fn private_key(&mut self, link: &str) -> Option<StaticSecret> {
        let device = self.device(|request| {
            request.put_text(DEVICE_NAME, link);
        });
        let private = device.ok()?.private;
        (private != [0; 32]).then(|| StaticSecret::from(private))
    }

    /// Brings keys, port and peers to the plan. Answers what differed.
    pub fn bring(
        &mut self,
        wanted: &Tunnel,
        index: u32,
        secret: &StaticSecret,
        change: bool,
    ) -> Result<Vec<String>> {
        let there = self.device(|request| {
            request.put_u32(DEVICE_INDEX, index);
        })?;
        let mut found = Vec::new();
        let link = &wanted.link;
        if there.public != PublicKey::from(secret).to_bytes() || there.port != wanted.port {
            found.push(format!("give {link} its key and port {}", wanted.port));
            if change {
                self.set(
                    index,
                    &format!("give {link} its key and port {}", wanted.port),
                    |r| {
                        r.put(DEVICE_PRIVATE_KEY, secret.as_bytes())
                            .put(DEVICE_PORT, &wanted.port.to_ne_bytes());
                    },
                )?;
            }
        }
        let planned: BTreeMap<Key, Peer> = wanted
            .peers
            .iter()
            .map(|(key, addr)| {
                let endpoint = Some(SocketAddrV4::new(*addr, wanted.port));
                let allowed = Some(*addr);
                (*key, Peer { endpoint, allowed })
            })
            .collect();
        // Those that go come first: two keys cannot have one address.
        let gone = there.peers.keys().filter(|key| !planned.contains_key(*key));
        let mut steps: Vec<(Key, Option<Peer>)> = gone.map(|key| (*key, None)).collect();
        let new = planned
            .iter()
            .filter(|(key, peer)| there.peers.get(*key) != Some(*peer));
        steps.extend(new.map(|(key, peer)| (*key, Some(*peer))));
        for (key, peer) in &steps {
            let key = write_key(key);
            found.push(match peer.and_then(|peer| peer.allowed) {
                None => format!("remove {key} from {link}"),
                Some(addr) => format!("reach {addr} by {key} on {link}"),
            });
        }
        if change {
            for part in steps.chunks(PEERS_PER_MESSAGE) {
                self.set(index, &format!("set the peers of {link}"), |request| {
                    request.nest(DEVICE_PEERS, |list| {
                        for (key, peer) in part {
                            list.nest(0, |one| write_peer(one, key, peer.as_ref()));
                        }
                    });
                })?;
            }
        }
        Ok(found)
    }

    fn set(&mut self, index: u32, what: &str, fill: impl FnOnce(&mut Request)) -> Result<()> {
        let mut request = Request::new();
        request.begin(self.family, 0, &[SET_DEVICE, 1, 0, 0]);
        request.put_u32(DEVICE_INDEX, index);
        fill(&mut request);
        self.socket.exchange(&mut request, |_| what.to_owned()).map(drop)
    }

    fn device(&mut self, which: impl Fn(&mut Request)) -> Result<Device> {
        let family = self.family;
        let build = |request: &mut Request| {
            request.begin(family, 0, &[GET_DEVICE, 1, 0, 0]);
            which(request);
        };
        let parts = self.socket.dump(build, "read the WireGuard interface")?;
        let mut device = Device::default();
        for part in &parts {
            read_part(part, &mut device);
        }
        Ok(device)
    }
}

/// Peers that do not fit into one message come in the next, and one whose addresses do not fit comes twice.
fn read_part(part: &Message, device: &mut Device) {
    let attributes = part.attributes(HEAD_BYTES);
    let key = |attributes: Attributes<'_>, attribute: u16| -> Option<Key> {
        attributes.get(attribute)?.try_into().ok()
    };
    if let Some(private) = key(attributes, DEVICE_PRIVATE_KEY) {
        device.private = private;
    }
    if let Some(public) = key(attributes, DEVICE_PUBLIC_KEY) {
        device.public = public;
    }
    if let Some(port) = attributes.get(DEVICE_PORT).and_then(|v| v.try_into().ok()) {
        device.port = u16::from_ne_bytes(port);
    }
    let peers = attributes.nested(DEVICE_PEERS);
    for (_, peer) in peers.into_iter().flat_map(Attributes::iter) {
        let peer = Attributes(peer);
        let Some(public) = key(peer, PEER_PUBLIC_KEY) else {
            continue;
        };
        let allowed: Vec<_> = peer
            .nested(PEER_ALLOWED)
            .into_iter()
            .flat_map(Attributes::iter)
            .map(|(_, one)| read_allowed(Attributes(one)))
            .collect();
        let shown = Peer {
            endpoint: peer.get(PEER_ENDPOINT).and_then(read_endpoint),
            // More or other than one address is not as planned.
            allowed: match allowed.as_slice() {
                [one] => *one,
                _ => None,
            },
        };
        device.peers.insert(public, shown);
    }
}

fn read_allowed(one: Attributes<'_>) -> Option<Ipv4Addr> {
    let whole = one.get(ALLOWED_LENGTH)?.first() == Some(&32);
    let address: [u8; 4] = one.get(ALLOWED_ADDRESS)?.try_into().ok()?;
    whole.then(|| address.into())
}

/// `struct sockaddr_in`
fn read_endpoint(bytes: &[u8]) -> Option<SocketAddrV4> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    (i32::from(family) == libc::AF_INET).then(|| SocketAddrV4::new(address.into(), port))
}

fn write_peer(one: &mut Request, key: &Key, peer: Option<&Peer>) {
    one.put(PEER_PUBLIC_KEY, key);
    let Some((endpoint, allowed)) = peer.and_then(|p| Some((p.endpoint?, p.allowed?))) else {
        one.put_u32(PEER_FLAGS, REMOVE);
        return;
    };
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&endpoint.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&endpoint.ip().octets());
    one.put_u32(PEER_FLAGS, REPLACE_ALLOWED)
        .put(PEER_ENDPOINT, &bytes)
        .put(PEER_KEEPALIVE, &KEEPALIVE.to_ne_bytes())
        .nest(PEER_ALLOWED, |list| {
            list.nest(0, |range| {
                range
                    .put(ALLOWED_FAMILY, &(libc::AF_INET as u16).to_ne_bytes())
                    .put(ALLOWED_ADDRESS, &allowed.octets())
                    .put_u8(ALLOWED_LENGTH, 32);
            });
        });
}
