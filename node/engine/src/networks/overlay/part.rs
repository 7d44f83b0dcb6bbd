//! What each container on cluster networks has inside: the table by which services' addresses lead to tasks, and the way back
//! for what came by a published port.

use super::OVERLAY;
use crate::error::Result;
use crate::networks::endpoint::Endpoint;
use crate::networks::table::{NetworkTable, driver};
use parking_lot::Mutex;
use shoal_node_core_host::overlay::{Balance, Changes, Plan, Target};
use shoal_node_drivers_network::overlay::{Inside, answer_over};
use shoal_node_drivers_network::{Error as DriverError, Netns};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// One container's part.
pub(super) struct Part {
    inside: Inside,
    netns: Arc<Netns>,
    networks: Vec<String>,
    /// Its places on cluster networks: the bridge, the address.
    places: Vec<(String, IpAddr)>,
    /// Ports of SCTP from which answers find back.
    answered: Mutex<BTreeSet<Target>>,
}

impl Part {
    pub fn bring(
        &self,
        plan: &Plan,
        recheck: bool,
        change: bool,
    ) -> std::result::Result<Vec<String>, DriverError> {
        let mut balance = Balance::default();
        for segment in self.networks.iter().filter_map(|id| plan.segments.get(id)) {
            balance.merge(&segment.balance);
        }
        if let Some(ingress) = plan.ingress.as_ref().filter(|_| change) {
            let published = self
                .places
                .iter()
                .filter(|(bridge, ..)| *bridge == ingress.bridge);
            for (_, address) in published {
                let gateway = match (address, ingress.address6) {
                    (IpAddr::V4(_), _) => IpAddr::V4(ingress.address.addr()),
                    (IpAddr::V6(_), Some(own)) => IpAddr::V6(own.addr()),
                    (IpAddr::V6(_), None) => continue,
                };
                let own = ingress.associations.iter().filter(|to| to.address == *address);
                let own: BTreeSet<Target> = own.copied().collect();
                let mut answered = self.answered.lock();
                if recheck || !own.is_subset(&answered) {
                    let ports = own.iter().map(|to| to.port).collect();
                    answer_over(&self.netns, *address, gateway, &ports)?;
                    answered.extend(own);
                }
            }
        }
        self.inside.balance(&balance, recheck, change)
    }

    /// Only where services' addresses on its networks lead, and ports of SCTP.
    pub fn change(&self, plan: &Plan, changes: &Changes) -> std::result::Result<(), DriverError> {
        if changes.special {
            return self.bring(plan, false, true).map(drop);
        }
        let segments = self.networks.iter().filter_map(|id| plan.segments.get(id));
        let changed: Vec<_> = segments
            .clone()
            .filter_map(|segment| Some((segment, changes.addresses.get(&segment.id)?)))
            .flat_map(|(segment, vips)| vips.iter().map(|vip| (*vip, segment.balance.get(vip))))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        // A container that no service's address leads out of has no table, and gets none by a change.
        let some = segments.into_iter().any(|segment| !segment.balance.is_empty());
        match some && self.inside.change(&changed)? {
            true => Ok(()),
            false => self.bring(plan, false, true).map(drop),
        }
    }
}

impl NetworkTable {
    /// A container that was just plugged in, or that runs on: services' addresses lead to tasks, answers find back.
    pub(in crate::networks) fn enter_overlays(
        &self,
        container: &str,
        netns: &Arc<Netns>,
        endpoints: &[Endpoint],
    ) -> Result<()> {
        let on: Vec<&Endpoint> = endpoints.iter().filter(|e| e.driver == OVERLAY).collect();
        if on.is_empty() && !self.inner.overlay.now.lock().inside.contains_key(container) {
            return Ok(());
        }
        let places = |e: &&Endpoint| -> Vec<(String, IpAddr)> {
            let bridge = e.bridge().map(str::to_owned);
            let addresses = e.addresses().into_iter();
            bridge.map_or_else(Vec::new, |bridge| {
                addresses.map(|a| (bridge.clone(), a)).collect()
            })
        };
        let part = Arc::new(Part {
            inside: Inside::of(netns).map_err(driver)?,
            netns: netns.clone(),
            networks: on.iter().map(|e| e.network_id.clone()).collect(),
            places: on.iter().flat_map(places).collect(),
            answered: Mutex::default(),
        });
        let now = || {
            let now = self.inner.overlay.now.lock();
            (now.plan().cloned(), now.heard)
        };
        let inside = &self.inner.overlay.now;
        inside.lock().inside.insert(container.to_owned(), part.clone());
        let (mut plan, mut heard) = now();
        if let Some(plan) = &plan {
            self.shorten(plan, false);
        }
        // A daemon that has just started knows no plan yet; the container has what it had.
        while let Some(present) = plan.take() {
            part.bring(&present, true, true).map_err(driver)?;
            // What changed meanwhile may have been brought before this.
            let (next, after) = now();
            plan = next.filter(|_| after != heard);
            heard = after;
        }
        if part.networks.is_empty() {
            // It has left the last one.
            self.leave_overlays(container);
        }
        Ok(())
    }

    pub(in crate::networks) fn leave_overlays(&self, container: &str) {
        self.inner.overlay.now.lock().inside.remove(container);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_node_core_host::overlay::{Ingress, Vip};
    use std::collections::BTreeMap;
    use std::process::Command;

    const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 5));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 6));

    fn run(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let done = Command::new(words[0]).args(&words[1..]).output().expect(line);
        assert!(done.status.success(), "{line}: {done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// With tasks that are asked by SCTP at these places.
    fn plan(targets: &[(IpAddr, u16)]) -> Plan {
        let target = |(address, port): &(IpAddr, u16)| Target {
            address: *address,
            port: *port,
        };
        let ingress = Ingress {
            network: "ing".into(),
            bridge: "ob".into(),
            address: "10.0.0.2/16".parse().expect("an address"),
            address6: None,
            peers: BTreeMap::new(),
            routes: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            balance: Balance::default(),
            relayed: BTreeMap::<Vip, BTreeSet<Target>>::new(),
            associations: targets.iter().map(target).collect(),
        };
        Plan {
            ingress: Some(Arc::new(ingress)),
            ..Default::default()
        }
    }

    #[test]
    fn a_port_of_sctp_that_a_change_brings_finds_its_way_back_and_others_are_not_touched() {
        let netns = Arc::new(Netns::create().expect("a namespace"));
        let plugged = netns.run(|| {
            run("ip link add d0 type veth peer name d1");
            run("ip address add 10.0.1.5/16 dev d0");
            run("ip link set d0 up");
            run("ip link set d1 up");
        });
        plugged.expect("a container");
        let rules = || netns.run(|| run("ip -4 rule")).expect("its rules");
        let part = Part {
            inside: Inside::of(&netns).expect("its tables"),
            netns: netns.clone(),
            networks: Vec::new(),
            places: vec![("ob".to_owned(), OWN)],
            answered: Mutex::default(),
        };
        part.bring(&plan(&[]), false, true).expect("brought");
        assert!(!rules().contains("sctp"), "{}", rules());

        let special = Changes {
            special: true,
            ..Default::default()
        };
        let both = [(OWN, 5000), (OTHER, 6000)];
        part.change(&plan(&both), &Changes::default())
            .expect("a change of something else");
        assert!(!rules().contains("sctp"), "{}", rules());
        part.change(&plan(&both), &special).expect("a change");
        let now = rules();
        // One that keeps to neighbours' links, one that leads over the gateway.
        assert_eq!(now.matches("ipproto sctp sport 5000").count(), 2, "{now}");
        assert!(!now.contains("6000"), "another's port: {now}");
        // Said again, it is there once.
        part.change(&plan(&both), &special).expect("the same change");
        assert_eq!(rules(), now);
    }
}
