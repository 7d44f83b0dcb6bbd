//! What a packet or its connection is.

use ipnet::IpNet;
use shoal_node_core_host::netplan::Protocol;

use super::*;

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMP6: u8 = 58;
const IP_SOURCE: u32 = 12;
const IP_TARGET: u32 = 16;
const IP6_SOURCE: u32 = 8;
const IP6_TARGET: u32 = 24;
const CT_STATE: u32 = 0;
const CT_DIRECTION: u32 = 1;
const CT_STATUS: u32 = 2;
const STATE_ESTABLISHED: u32 = 2;
const STATE_RELATED: u32 = 4;
const STATUS_DNAT: u32 = 0x20;
const INTERFACE_BYTES: usize = 16;

/// What a connection's direction is: that of its first packet, or the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Original = 0,
    Reply = 1,
}

impl Expressions {
    pub fn arrives_by(self, name: &str) -> Self {
        self.meta(META_IIFNAME, REGISTER).compare(EQUAL, &interface(name))
    }

    pub fn leaves_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER).compare(EQUAL, &interface(name))
    }

    pub fn leaves_not_by(self, name: &str) -> Self {
        self.meta(META_OIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn arrives_not_by(self, name: &str) -> Self {
        self.meta(META_IIFNAME, REGISTER)
            .compare(NOT_EQUAL, &interface(name))
    }

    pub fn family(self, v6: bool) -> Self {
        self.meta(META_NFPROTO, REGISTER).compare(EQUAL, &[nfproto(v6)])
    }

    pub fn source_in(self, net: IpNet) -> Self {
        self.address_in(IP_SOURCE, IP6_SOURCE, net)
    }

    pub fn target_in(self, net: IpNet) -> Self {
        self.address_in(IP_TARGET, IP6_TARGET, net)
    }

    /// The packet's target address is in the set of this name.
    pub fn target_in_set(self, set: &str, v6: bool) -> Self {
        self.family(v6).target(v6).add("lookup", |data| {
            data.put_text(1, set).put_u32_be(2, PART_0);
        })
    }

    /// The packet's protocol and target port are in the set of this name.
    pub fn port_in_set(self, set: &str, v6: bool) -> Self {
        self.family(v6)
            .meta(META_L4PROTO, PART_0)
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, PART_1)
            .add("lookup", |data| {
                data.put_text(1, set).put_u32_be(2, PART_0);
            })
    }

    pub fn target_is_not_loopback6(self) -> Self {
        self.payload(BASE_NETWORK, IP6_TARGET, 16, REGISTER)
            .compare(NOT_EQUAL, &std::net::Ipv6Addr::LOCALHOST.octets())
    }

    pub fn target_is_loopback6(self) -> Self {
        self.family(true)
            .payload(BASE_NETWORK, IP6_TARGET, 16, REGISTER)
            .compare(EQUAL, &std::net::Ipv6Addr::LOCALHOST.octets())
    }

    /// 127.0.0.0/8
    pub fn source_loopback(self) -> Self {
        self.family(false)
            .payload(BASE_NETWORK, IP_SOURCE, 1, REGISTER)
            .compare(EQUAL, &[127])
    }

    /// Pings and what the protocol itself has to say.
    pub fn control(self, v6: bool) -> Self {
        self.protocol(if v6 { PROTOCOL_ICMP6 } else { PROTOCOL_ICMP })
    }

    /// A message of this type of the family's control protocol.
    pub fn control_message(self, v6: bool, kind: u8) -> Self {
        self.control(v6)
            .payload(BASE_TRANSPORT, 0, 1, REGISTER)
            .compare(EQUAL, &[kind])
    }

    pub fn target_port(self, protocol: Protocol, port: u16) -> Self {
        self.protocol(protocol.number())
            .payload(BASE_TRANSPORT, TRANSPORT_TARGET_PORT, 2, REGISTER)
            .compare(EQUAL, &port.to_be_bytes())
    }

    /// The identifier in a VXLAN header is in the set of this name.
    pub fn vxlan_in_set(self, set: &str) -> Self {
        const IDENTIFIER: u32 = 8 + 4;
        self.payload(BASE_TRANSPORT, IDENTIFIER, 3, PART_0)
            .add("lookup", |data| {
                data.put_text(1, set).put_u32_be(2, PART_0);
            })
    }

    pub fn protocol(self, number: u8) -> Self {
        self.meta(META_L4PROTO, REGISTER).compare(EQUAL, &[number])
    }

    /// The packet is for the host itself.
    pub fn target_local(self) -> Self {
        self.target_kind(EQUAL)
    }

    /// It is not.
    pub fn target_elsewhere(self) -> Self {
        self.target_kind(NOT_EQUAL)
    }

    fn target_kind(self, operator: u32) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const OF_TARGET: u32 = 2;
        const LOCAL: u32 = libc::RTN_LOCAL as u32;
        self.add("fib", |data| {
            data.put_u32_be(1, REGISTER)
                .put_u32_be(2, ADDRESS_TYPE)
                .put_u32_be(3, OF_TARGET);
        })
        .compare(operator, &LOCAL.to_ne_bytes())
    }

    pub fn direction(self, direction: Direction) -> Self {
        self.ct(CT_DIRECTION).compare(EQUAL, &[direction as u8])
    }

    pub fn established(self) -> Self {
        self.track(CT_STATE, STATE_ESTABLISHED | STATE_RELATED, NOT_EQUAL)
    }

    /// The connection came in over a published port.
    pub fn redirected(self) -> Self {
        self.track(CT_STATUS, STATUS_DNAT, NOT_EQUAL)
    }

    /// The connection was not sent on from somewhere else.
    pub fn not_redirected(self) -> Self {
        self.track(CT_STATUS, STATUS_DNAT, EQUAL)
    }

    fn address_in(self, offset: u32, offset6: u32, net: IpNet) -> Self {
        let v6 = net.addr().is_ipv6();
        let this = if v6 {
            self.family(v6).payload(BASE_NETWORK, offset6, 16, REGISTER)
        } else {
            self.family(v6).payload(BASE_NETWORK, offset, 4, REGISTER)
        };
        let this = if net.prefix_len() < net.max_prefix_len() {
            this.mask(&octets(net.netmask()))
        } else {
            this
        };
        this.compare(EQUAL, &octets(net.network()))
    }

    /// Some of these bits (`NOT_EQUAL`), or none of them (`EQUAL`).
    fn track(self, key: u32, bits: u32, operator: u32) -> Self {
        self.ct(key).mask(&bits.to_ne_bytes()).compare(operator, &[0; 4])
    }
}

fn interface(name: &str) -> [u8; INTERFACE_BYTES] {
    let mut bytes = [0; INTERFACE_BYTES];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(INTERFACE_BYTES - 1)) {
        *to = from;
    }
    bytes
}
