//! A cluster network is a network of the table like any other.

use super::OVERLAY;
use crate::clock;
use crate::error::{Result, conflict, io};
use crate::files;
use crate::networks::open::insert;
use crate::networks::record::{Record, Subnet};
use crate::networks::table::NetworkTable;
use ipnet::IpNet;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::overlay::{Plan, Segment};
use std::collections::BTreeMap;
use std::net::IpAddr;

const MTU: &str = "com.docker.network.driver.mtu";

impl NetworkTable {
    /// The table has exactly the networks of the plan, and whatever a container is still on.
    pub(super) fn keep_records(&self, plan: &Plan) -> Result<()> {
        for segment in plan.segments.values() {
            let record = Record {
                id: segment.id.clone(),
                name: segment.name.clone(),
                created: clock::now(),
                driver: OVERLAY.into(),
                // The way out is over the gateway bridge, not over the network itself.
                internal: true,
                attachable: segment.attachable,
                options: [(MTU.to_owned(), segment.mtu.to_string())].into(),
                enable_ipv6: segment.six.is_some(),
                subnets: subnets(segment),
                link: segment.bridge.clone(),
                ..Record::default()
            };
            let known = self.find(&segment.id).ok();
            let same = known.is_some_and(|known| {
                known.link == record.link
                    && known.subnets == record.subnets
                    && known.options == record.options
            });
            if !same {
                self.save(&record)?;
                insert(self, record)?;
            }
        }
        let gone = self.all().into_iter().filter(|record| {
            record.driver == OVERLAY
                && !plan.segments.contains_key(&record.id)
                && self.on(&record.id).is_empty()
        });
        for record in gone {
            let path = self.inner.dir.join(format!("{}.json", record.id));
            files::remove_file(&path)
                .and_then(|()| files::sync_dir(&self.inner.dir))
                .map_err(io("remove", path.display()))?;
            self.inner.state.lock().networks.remove(&record.id);
        }
        Ok(())
    }
}

fn subnets(segment: &Segment) -> Vec<Subnet> {
    let four = (IpNet::from(segment.subnet), IpAddr::from(segment.gateway));
    let six = segment
        .six
        .map(|(net, gateway)| (IpNet::from(net), IpAddr::from(gateway)));
    let subnet = |(net, gateway)| Subnet {
        net,
        range: None,
        gateway: Some(gateway),
        aux: BTreeMap::new(),
        given: true,
    };
    std::iter::once(four).chain(six).map(subnet).collect()
}

/// On a network of the cluster, the cluster gives the addresses.
pub(in crate::networks) fn check_place(record: &Record, asked: &EndpointSettings) -> Result<()> {
    let given = asked
        .ipam_config
        .as_ref()
        .is_some_and(|config| !config.ipv4_address.is_empty());
    if record.driver != OVERLAY || given {
        return Ok(());
    }
    Err(conflict(format!(
        "network {} is a network of the cluster, and the cluster gave no address on it",
        record.name
    )))
}
