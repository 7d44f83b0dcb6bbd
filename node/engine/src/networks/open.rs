//! The networks of a starting daemon: read from disk, the three that are always there made when missing, the kernel
//! brought in line. And the thread that keeps it in line.

use super::attached::Cluster;
use super::record::Record;
use super::record::Subnet;
use super::table::{Net, NetworkTable, driver};
use crate::clock;
use crate::config::Bridge;
use crate::error::{Result, invalid, io, system};
use crate::events::Events;
use crate::{files, ids};
use ipnet::{IpNet, Ipv4Net};
use parking_lot::RwLock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use shoal_node_core_host::dns::Zone;
use shoal_node_core_host::ipam::{self, Pool};
use shoal_node_core_host::netplan;
use shoal_node_drivers_network::{LinkWatch, Links, Nft, forwarding, table_name};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often the kernel is looked at although nothing was heard: for what it gives no clear notice of, such as a cable that
/// was taken off its bridge or a switch under /proc/sys.
const LOOK_SECONDS: i64 = 60;
/// Whoever deletes again and again is answered no more often than this.
const REST: Duration = Duration::from_millis(100);

/// Reads and makes; blocks.
pub fn open(
    sid: &str,
    data_root: &Path,
    config: &Bridge,
    events: Events,
    cluster: Option<Cluster>,
) -> Result<NetworkTable> {
    let dir = data_root.join("networks");
    files::make_dir(&dir, 0o700).map_err(io("create", dir.display()))?;
    let links = Links::open().map_err(driver)?;
    let nft = Nft::open(table_name(sid)).map_err(driver)?;
    let mut pools = match config.pools.as_slice() {
        [] => ipam::default_pools(),
        given => given
            .iter()
            .map(|(base, size)| ipam::AddressPool {
                base: *base,
                size: *size,
            })
            .collect(),
    };
    if !pools.iter().any(|pool| ipam::is_v6(pool.base)) {
        pools.push(ipam::local_pool(sid));
    }
    let table = NetworkTable::new(
        sid,
        links,
        nft,
        dir.clone(),
        events,
        pools,
        config.forward,
        config.pass_on,
        cluster,
    )?;
    for record in read(&dir)? {
        insert(&table, record)?;
    }
    for (name, kind) in [("host", "host"), ("none", "null")] {
        if table.find(name).is_err() {
            let record = Record {
                id: ids::new(),
                name: name.into(),
                created: clock::now(),
                driver: kind.into(),
                ..Record::default()
            };
            table.save(&record)?;
            insert(&table, record)?;
        }
    }
    default_bridge(&table, config)?;
    if config.forward
        && let Err(error) = forwarding::enable()
    {
        tracing::warn!(%error, "forwarding could not be switched on: containers reach only this host");
    }
    // Without its default bridge a daemon does not start; one network of a user's that cannot be does not keep it from it.
    if let Ok(bridge) = table.find("bridge") {
        table.ensure_link(&bridge)?;
    }
    table.ensure_all();
    user_chains();
    Ok(table)
}

/// There for the rules of whoever runs the host, also after a flush.
fn user_chains() {
    if let Err(error) = shoal_node_drivers_network::ensure_user_chains() {
        tracing::warn!(%error, "the chains for the host's own rules could not be made");
    }
}

fn read(dir: &Path) -> Result<Vec<Record>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir)
        .map_err(io("list", dir.display()))?
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        match files::read_json::<Record>(&path) {
            Ok(Some(record)) => out.push(record),
            Ok(None) => {}
            Err(error) => tracing::error!(path = %path.display(), %error, "a network's file cannot be read"),
        }
    }
    Ok(out)
}

pub(super) fn insert(table: &NetworkTable, record: Record) -> Result<()> {
    let pools = record.pools().map_err(|e| invalid(e.to_string()))?;
    let zone = Arc::new(RwLock::new(Zone::new(&record.name)));
    let net = Net { record, pools, zone };
    let mut state = table.inner.state.lock();
    state.networks.insert(net.record.id.clone(), net);
    Ok(())
}

/// The network `bridge`: as configured, else as it was, else as the link of that name is, else on a free subnet.
fn default_bridge(table: &NetworkTable, config: &Bridge) -> Result<()> {
    let before = table.find("bridge").ok();
    if config.name == "none" {
        if let Some(record) = before {
            table.inner.state.lock().networks.remove(&record.id);
        }
        return Ok(());
    }
    let links = &table.inner.links;
    let on_link = || -> Option<Ipv4Net> { v4(links.get(&config.name).ok().flatten()?.addresses) };
    let of_record = before
        .as_ref()
        .filter(|r| r.link == config.name)
        .and_then(Record::plan)
        .and_then(|b| v4(b.addresses));
    let address = match config.address.or(of_record).or_else(on_link) {
        Some(address) => address,
        None => {
            let used = links.used_subnets(Some(&config.name)).map_err(driver)?;
            let subnet = match config.fixed_cidr {
                Some(range) => range.trunc().into(),
                None => {
                    ipam::pick_subnet(&table.inner.pools, &used, false).map_err(|e| system(e.to_string()))?
                }
            };
            let pool = Pool::new(subnet, None, None).map_err(|e| system(e.to_string()))?;
            v4(pool.gateway_net()).ok_or_else(|| system("no address for the default bridge"))?
        }
    };
    let options = [
        ("com.docker.network.bridge.default_bridge", "true".to_string()),
        ("com.docker.network.bridge.enable_icc", config.icc.to_string()),
        (
            "com.docker.network.bridge.enable_ip_masquerade",
            config.masquerade.to_string(),
        ),
        (
            "com.docker.network.bridge.host_binding_ipv4",
            config
                .host_binding
                .map_or_else(|| "0.0.0.0".into(), |ip| ip.to_string()),
        ),
        ("com.docker.network.bridge.name", config.name.clone()),
        ("com.docker.network.driver.mtu", config.mtu.to_string()),
    ];
    let record = Record {
        id: before.as_ref().map_or_else(ids::new, |r| r.id.clone()),
        name: "bridge".into(),
        created: before.as_ref().map_or_else(clock::now, |r| r.created),
        driver: "bridge".into(),
        options: options.into_iter().map(|(k, v)| (k.to_string(), v)).collect(),
        subnets: std::iter::once(Subnet {
            net: address.trunc().into(),
            range: config.fixed_cidr.map(IpNet::from),
            gateway: Some(address.addr().into()),
            aux: Default::default(),
            given: false,
        })
        .chain(six(table, config, before.as_ref())?)
        .collect(),
        enable_ipv6: config.ipv6,
        link: config.name.clone(),
        ..Record::default()
    };
    table.save(&record)?;
    insert(table, record)
}

/// The default bridge's part of IPv6, where it has one.
fn six(table: &NetworkTable, config: &Bridge, before: Option<&Record>) -> Result<Option<Subnet>> {
    if !config.ipv6 {
        return Ok(None);
    }
    let fail = |e: ipam::Error| system(e.to_string());
    let was = before.and_then(|r| r.subnets.iter().find(|s| ipam::is_v6(s.net)).cloned());
    let (net, gateway) = match (config.address_v6, config.fixed_cidr_v6, was) {
        (Some(address), _, _) => (address.trunc().into(), Some(address.addr().into())),
        (None, Some(net), _) => (net.trunc().into(), None),
        (None, None, Some(subnet)) => (subnet.net, subnet.gateway),
        (None, None, None) => {
            let mut used = table
                .inner
                .links
                .used_subnets(Some(&config.name))
                .map_err(driver)?;
            used.extend(
                table
                    .all()
                    .iter()
                    .flat_map(|r| r.used_subnets().map(|s| s.net).collect::<Vec<_>>()),
            );
            (
                ipam::pick_subnet(&table.inner.pools, &used, true).map_err(fail)?,
                None,
            )
        }
    };
    let range = config.fixed_cidr_v6.map(|range| range.trunc().into());
    Ok(Some(Subnet {
        net,
        range,
        gateway: Pool::new(net, range, gateway).map_err(fail)?.gateway(),
        aux: Default::default(),
        given: false,
    }))
}

fn v4(nets: impl IntoIterator<Item = IpNet>) -> Option<Ipv4Net> {
    nets.into_iter().find_map(|net| match net {
        IpNet::V4(v4) => Some(v4),
        IpNet::V6(_) => None,
    })
}

/// After all containers were found again: rules as they should be, and no cable that nobody holds.
pub fn settle(table: &NetworkTable) -> Result<()> {
    table.mend()?;
    let plan = table.plan()?;
    let shown = table
        .inner
        .links
        .list_ours(&netplan::link_prefix(&table.inner.sid))
        .map_err(driver)?;
    for link in netplan::stale_links(shown.iter().map(String::as_str), &plan) {
        // A cable on a network of the cluster is in no plan of this host's own networks.
        if table.is_held(&link) {
            continue;
        }
        if let Err(error) = table.inner.links.unplug(&link) {
            tracing::warn!(link, %error, "a stale cable could not be pulled");
        }
    }
    Ok(())
}

/// Keeps bridges and rules there, whoever deletes them. Ends with the table.
pub fn tend(table: &NetworkTable) -> Result<()> {
    let mut rules = table.inner.nft.watch().map_err(driver)?;
    rules.also_own(table.overlay_ports());
    let mut links = LinkWatch::open().map_err(driver)?;
    let weak = Arc::downgrade(&table.inner);
    let work = move || {
        let timeout = Timespec {
            tv_sec: LOOK_SECONDS,
            tv_nsec: 0,
        };
        loop {
            let mut fds = [
                PollFd::new(&rules, PollFlags::IN),
                PollFd::new(&links, PollFlags::IN),
            ];
            let heard = !matches!(poll(&mut fds, Some(&timeout)), Ok(0) | Err(_));
            let Some(inner) = weak.upgrade() else { return };
            let table = NetworkTable { inner };
            // Both, so that what was heard of is taken off both.
            let touched = [
                rules.touched().unwrap_or(true),
                links.touched(&table.watched()).unwrap_or(true),
            ];
            if heard && !touched.contains(&true) {
                continue;
            }
            user_chains();
            if let Err(error) = table.mend_overlays() {
                tracing::warn!(%error, "the cluster's networks could not be put right on this host");
            }
            if let Err(error) = table.mend() {
                tracing::warn!(%error, "the host's network could not be put right");
            }
            drop(table);
            std::thread::sleep(REST);
        }
    };
    let thread = std::thread::Builder::new()
        .name("networks".into())
        .stack_size(512 << 10)
        .spawn(work);
    thread
        .map(drop)
        .map_err(|e| system(format!("start the thread that tends the networks: {e}")))
}
