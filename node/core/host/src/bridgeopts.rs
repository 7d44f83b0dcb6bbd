//! The options of a bridge network (`-o com.docker.network.…`), read in Docker's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::netplan::{LINK_NAME_BYTES_MAX, Mode};

pub const NAME: &str = "com.docker.network.bridge.name";
pub const ICC: &str = "com.docker.network.bridge.enable_icc";
pub const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
pub const MODE_V4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
pub const MODE_V6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
pub const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
pub const INHIBIT_V4: &str = "com.docker.network.bridge.inhibit_ipv4";
pub const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
pub const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
pub const MTU: &str = "com.docker.network.driver.mtu";
pub const PREFIX: &str = "com.docker.network.container_iface_prefix";
pub const HOST_V4: &str = "com.docker.network.host_ipv4";
pub const HOST_V6: &str = "com.docker.network.host_ipv6";
pub const ENABLE_V4: &str = "com.docker.network.enable_ipv4";
pub const ENABLE_V6: &str = "com.docker.network.enable_ipv6";

const MTU_DEFAULT: u32 = 1500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    pub name: Option<String>,
    pub icc: bool,
    pub masquerade: bool,
    pub mode_v4: Mode,
    pub mode_v6: Mode,
    /// Where ports are published when nobody says where.
    pub host_binding: Option<IpAddr>,
    /// The bridge gets no IPv4 address; somebody else is the gateway.
    pub inhibit_v4: bool,
    pub mtu: u32,
    /// Of the interfaces inside: `eth`.
    pub prefix: String,
    /// Leave the host with this source address instead of the interface's own.
    pub host_v4: Option<IpAddr>,
    pub host_v6: Option<IpAddr>,
    /// Interfaces of the host from which containers may be reached directly, whatever is published.
    pub trusted: Vec<String>,
}

impl Default for BridgeOptions {
    fn default() -> Self {
        BridgeOptions {
            name: None,
            icc: true,
            masquerade: true,
            mode_v4: Mode::Nat,
            mode_v6: Mode::Nat,
            host_binding: None,
            inhibit_v4: false,
            mtu: MTU_DEFAULT,
            prefix: "eth".into(),
            host_v4: None,
            host_v6: None,
            trusted: Vec::new(),
        }
    }
}

impl BridgeOptions {
    /// Options that nobody knows are kept and mean nothing, as with Docker.
    pub fn parse(options: &BTreeMap<String, String>, internal: bool) -> Result<BridgeOptions, String> {
        let mut out = BridgeOptions::default();
        for (key, value) in options {
            let bad = |why: String| format!("failed to parse {key} value: {value} ({why})");
            let truth = || {
                go_bool(value)
                    .ok_or_else(|| bad(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")))
            };
            let mode = || {
                Mode::parse(value, internal).map_err(|why| match why {
                    Some(why) => why,
                    None => bad(format!("unknown gateway mode {value}")),
                })
            };
            let address = |v6: bool| match value.parse::<IpAddr>() {
                Ok(address) if address.is_ipv6() == v6 => Ok(Some(address)),
                _ => Err(bad(format!("nil ip for {key}"))),
            };
            match key.as_str() {
                NAME => {
                    check_link(value)?;
                    out.name = Some(value.clone());
                }
                ICC => out.icc = truth()?,
                MASQUERADE => out.masquerade = truth()?,
                MODE_V4 => out.mode_v4 = mode()?,
                MODE_V6 => out.mode_v6 = mode()?,
                HOST_BINDING if value.is_empty() => {}
                HOST_BINDING => {
                    let address = value.parse().map_err(|_| bad("nil ip".into()))?;
                    out.host_binding = Some(address);
                }
                INHIBIT_V4 => out.inhibit_v4 = truth()?,
                DEFAULT_BRIDGE | ENABLE_V4 | ENABLE_V6 => drop(truth()?),
                TRUSTED => {
                    out.trusted = value
                        .split(':')
                        .filter(|t| !t.is_empty())
                        .map(Into::into)
                        .collect()
                }
                MTU => {
                    out.mtu = match value.parse::<i64>() {
                        _ if value.is_empty() => MTU_DEFAULT,
                        Ok(0) => MTU_DEFAULT,
                        Ok(mtu @ 68..=65_535) => mtu as u32,
                        Ok(_) => return Err(format!("invalid MTU {value}: it should be 68 to 65535")),
                        Err(_) => {
                            return Err(bad(format!("strconv.Atoi: parsing {value:?}: invalid syntax")));
                        }
                    }
                }
                PREFIX => {
                    // A number follows it.
                    if value.len() > LINK_NAME_BYTES_MAX - 3 {
                        return Err(bad("the prefix is too long".into()));
                    }
                    check_link(value)?;
                    out.prefix = value.clone();
                }
                HOST_V4 => out.host_v4 = address(false)?,
                HOST_V6 => out.host_v6 = address(true)?,
                _ => {}
            }
        }
        Ok(out)
    }

    pub fn mode(&self, v6: bool) -> Mode {
        if v6 { self.mode_v6 } else { self.mode_v4 }
    }
}

impl Mode {
    /// An error of its own where the mode does not fit, none where it is not one.
    fn parse(text: &str, internal: bool) -> Result<Mode, Option<String>> {
        Ok(match text {
            "" | "nat" => Mode::Nat,
            "nat-unprotected" => Mode::NatUnprotected,
            "routed" => Mode::Routed,
            "isolated" if internal => Mode::Isolated,
            "isolated" => {
                return Err(Some(
                    "gateway mode 'isolated' can only be used for an internal network".into(),
                ));
            }
            _ => return Err(None),
        })
    }
}

/// A name that the kernel takes for an interface.
pub fn check_link(name: &str) -> Result<(), String> {
    let fits = !matches!(name, "" | "." | "..") && name.len() <= LINK_NAME_BYTES_MAX;
    if fits
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
    {
        return Ok(());
    }
    Err(format!("invalid interface name {name:?}"))
}

/// What Go takes for a truth value.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)], internal: bool) -> Result<BridgeOptions, String> {
        let options = options
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        BridgeOptions::parse(&options, internal)
    }

    #[test]
    fn options_are_read_in_dockers_words() {
        let all = parse(
            &[
                (NAME, "br0"),
                (ICC, "false"),
                (MASQUERADE, "0"),
                (MODE_V4, "routed"),
                (MODE_V6, "isolated"),
                (HOST_BINDING, "127.0.0.1"),
                (INHIBIT_V4, "true"),
                (MTU, "9000"),
                (PREFIX, "lan"),
                (HOST_V4, "10.0.0.9"),
                ("com.example.other", "kept"),
            ],
            true,
        );
        let all = all.unwrap();
        assert_eq!(all.name.as_deref(), Some("br0"));
        assert!(!all.icc && !all.masquerade && all.inhibit_v4);
        assert_eq!((all.mode(false), all.mode(true)), (Mode::Routed, Mode::Isolated));
        assert_eq!((all.mtu, all.prefix.as_str()), (9000, "lan"));
        assert_eq!(
            parse(&[(MTU, ""), (HOST_BINDING, "")], false),
            Ok(BridgeOptions::default())
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        for (key, value, why) in [
            (
                MODE_V4,
                "foo",
                "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: foo (unknown gateway mode foo)",
            ),
            (
                ICC,
                "foo",
                "failed to parse com.docker.network.bridge.enable_icc value: foo (strconv.ParseBool: parsing \"foo\": invalid syntax)",
            ),
            (
                MTU,
                "foo",
                "failed to parse com.docker.network.driver.mtu value: foo (strconv.Atoi: parsing \"foo\": invalid syntax)",
            ),
            (
                MODE_V4,
                "isolated",
                "gateway mode 'isolated' can only be used for an internal network",
            ),
        ] {
            assert_eq!(parse(&[(key, value)], false).unwrap_err(), why);
        }
        for (key, value) in [
            (NAME, ""),
            (NAME, ".."),
            (NAME, "a/b"),
            (NAME, "a b"),
            (NAME, "1234567890123456"),
            (NAME, "brücke"),
            (MTU, "-1"),
            (MTU, "67"),
            (MTU, "65536"),
            (HOST_V4, "fd00::1"),
            (HOST_BINDING, "x"),
            (PREFIX, "1234567890123"),
        ] {
            assert!(parse(&[(key, value)], false).is_err(), "{key}={value}");
        }
    }
}
