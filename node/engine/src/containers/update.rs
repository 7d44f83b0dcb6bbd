//! `docker update`: limits and the restart policy of an existing container.

use super::record::Record;
use super::{Containers, limits};
use crate::error::{Result, invalid};
use shoal_api_types::container::{UpdateConfig, UpdateResponse};
use shoal_api_types::go::empty;
use shoal_node_core_host::lifecycle::Policy;
use shoal_node_core_host::ocispec::resources;

impl Containers {
    pub async fn update(&self, reference: &str, update: UpdateConfig) -> Result<UpdateResponse> {
        let handle = self.kit.registry.get(reference)?;
        let mut probe = (*handle.view().record).clone();
        merge(&mut probe, update.clone())?;
        resources::check(&limits(&probe.host.resources), self.kit.host.cpus).map_err(invalid)?;
        handle
            .ask(|reply| super::actor::Input::Update {
                update: Box::new(update),
                reply,
            })
            .await?;
        Ok(UpdateResponse::default())
    }
}

/// What is zero or empty in the update stays as it is.
pub fn merge(record: &mut Record, update: UpdateConfig) -> Result<()> {
    let (new, old) = (update.resources, &mut record.host.resources);
    macro_rules! take {
        ($($field:ident),*) => { $( if !empty(&new.$field) { old.$field = new.$field; } )* };
    }
    if new.memory > 0 && old.memory_swap > 0 && new.memory_swap == 0 && new.memory > old.memory_swap {
        return Err(invalid(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    take!(
        cpu_shares,
        memory,
        nano_cpus,
        blkio_weight,
        cpu_period,
        cpu_quota,
        cpuset_cpus,
        cpuset_mems,
        memory_reservation,
        memory_swap,
        memory_swappiness,
        pids_limit
    );
    let policy = update.restart_policy;
    if !policy.name.is_empty() {
        Policy::parse(&policy.name, policy.maximum_retry_count).map_err(invalid)?;
        if record.host.auto_remove && policy.name != "no" {
            return Err(invalid(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        record.host.restart_policy = policy;
    }
    Ok(())
}
