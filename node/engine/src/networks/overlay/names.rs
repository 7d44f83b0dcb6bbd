//! The cluster's names in the zones of its networks.

use crate::networks::table::NetworkTable;
use shoal_node_core_host::overlay::{Changes, Layout};
use std::collections::HashMap;
use std::sync::Arc;

impl NetworkTable {
    /// Those that changed, or all.
    pub(super) fn put_names(&self, changes: Option<&Changes>) {
        let mut now = self.inner.overlay.now.lock();
        let now = &mut *now;
        let Some(names) = now.layout.as_ref().map(Layout::names) else {
            return;
        };
        now.zones.retain(|network, zone| {
            let stays = names.contains_key(network);
            if !stays {
                zone.write().give_all(HashMap::new());
            }
            stays
        });
        for (network, names) in names {
            let Some(zone) = self.zone(network) else { continue };
            let known = now
                .zones
                .get(network)
                .is_some_and(|known| Arc::ptr_eq(known, &zone));
            let changed = match changes {
                Some(changes) if known => match changes.names.get(network) {
                    Some(changed) => changed,
                    None => continue,
                },
                _ => {
                    let all = names
                        .iter()
                        .map(|(name, found)| (name.clone(), found.addresses.iter().copied().collect()));
                    zone.write().give_all(all.collect());
                    now.zones.insert(network.clone(), zone);
                    continue;
                }
            };
            let mut zone = zone.write();
            for name in changed {
                let addresses = names.get(name).map(|found| &found.addresses);
                zone.give(name, addresses.into_iter().flatten().copied().collect());
            }
        }
    }
}
