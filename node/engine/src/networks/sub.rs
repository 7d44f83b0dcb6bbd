//! Networks on a part of the host's own interface: macvlan and ipvlan.

use super::endpoint::Sub;
use super::record::Record;
use super::table::{NetworkTable, driver};
use crate::error::{Result, invalid, system};
use crate::ids;
use shoal_node_core_host::netplan::LINK_NAME_BYTES_MAX;
use shoal_node_drivers_network::{Links, SubKind, Until};

const PARENT: &str = "parent";

/// What its options say, or why they cannot be.
pub(super) fn kind(record: &Record) -> Result<Sub> {
    let option = |key: &str| record.options.get(key).map_or("", String::as_str);
    match record.driver.as_str() {
        "macvlan" => Ok(Sub::Macvlan {
            mode: match option("macvlan_mode") {
                "private" => 1,
                "vepa" => 2,
                "" | "bridge" => 4,
                "passthru" => 8,
                other => {
                    return Err(invalid(format!(
                        "requested macvlan mode '{other}' is not valid, 'bridge' mode is the macvlan driver default"
                    )));
                }
            },
        }),
        _ => Ok(Sub::Ipvlan {
            mode: match option("ipvlan_mode") {
                "" | "l2" => 0,
                "l3" => 1,
                "l3s" => 2,
                other => {
                    return Err(invalid(format!(
                        "requested ipvlan mode '{other}' is not valid, 'l2' mode is the ipvlan driver default"
                    )));
                }
            },
            flags: match option("ipvlan_flag") {
                "" | "bridge" => 0,
                "private" => 1,
                "vepa" => 2,
                other => {
                    return Err(invalid(format!(
                        "requested ipvlan flag '{other}' is not valid, 'bridge' is the ipvlan driver default"
                    )));
                }
            },
        }),
    }
}

/// The interface that it hangs on: the one that was named, or one of its own that leads nowhere.
pub(super) fn choose_parent(record: &mut Record) {
    record.link = match record.options.get(PARENT) {
        Some(parent) if !parent.is_empty() => parent.clone(),
        _ => {
            record.internal = true;
            format!("dm-{}", ids::short(&record.id))
        }
    };
}

/// Whether this host can do it at all: asked before the network is anybody's.
pub(super) fn check(table: &NetworkTable, record: &Record) -> Result<()> {
    let kind = match kind(record)? {
        Sub::Macvlan { mode } => SubKind::Macvlan { mode },
        Sub::Ipvlan { mode, flags } => SubKind::Ipvlan { mode, flags },
    };
    if record.link == "lo" {
        return Err(invalid(format!(
            "loopback interface is not a valid {} parent link",
            record.driver
        )));
    }
    let links = &table.inner.links;
    ensure_parent(links, record)?;
    links.has_kind(kind, &record.link).map_err(|e| {
        let _ = remove_parent(links, record);
        match driver(e) {
            e if e.message.contains("this host's kernel has no") => crate::error::not_implemented(e.message),
            e => e,
        }
    })
}

pub(super) fn ensure_parent(links: &Links, record: &Record) -> Result<()> {
    if !is_sub(record) || links.get(&record.link).map_err(driver)?.is_some() {
        return Ok(());
    }
    if record.link.starts_with("dm-") {
        return links.ensure_dummy(&record.link).map_err(driver);
    }
    let bad = || {
        system(format!(
            "invalid subinterface vlan name {}, example formatting is eth0.10",
            record.link
        ))
    };
    let (parent, vlan) = record.link.split_once('.').ok_or_else(bad)?;
    let vlan: u16 = vlan
        .parse()
        .ok()
        .filter(|v| (1..=4094).contains(v))
        .ok_or_else(bad)?;
    if record.link.len() > LINK_NAME_BYTES_MAX {
        return Err(bad());
    }
    links.ensure_vlan(&record.link, parent, vlan).map_err(driver)
}

/// Of what we made; the host's own interface stays.
pub(super) fn remove_parent(links: &Links, record: &Record) -> Result<()> {
    if is_sub(record) && record.link == format!("dm-{}", ids::short(&record.id)) {
        return links.remove_soon(&record.link, Until::Begun).map_err(driver);
    }
    Ok(())
}

pub(super) fn is_sub(record: &Record) -> bool {
    !record.config_only && matches!(record.driver.as_str(), "macvlan" | "ipvlan")
}
