//! `docker update`: limits and the restart policy of an existing container.

use super::record::Record;
use super::{Containers, limits};
use crate::error::{Result, conflict, invalid};
use shoal_api_types::container::{UpdateConfig, UpdateResponse};
use shoal_api_types::go::empty;
use shoal_node_core_host::lifecycle::Policy;

impl Containers {
    pub async fn update(&self, reference: &str, mut update: UpdateConfig) -> Result<UpdateResponse> {
        let handle = self.kit.registry.get(reference)?;
        let mut warnings = Vec::new();
        limits::check(&self.kit, &mut update.resources, true, &mut warnings)?;
        let policy = &update.restart_policy;
        Policy::parse(&policy.name, policy.maximum_retry_count).map_err(invalid)?;
        handle
            .ask(|reply| super::actor::Input::Update {
                update: Box::new(update),
                reply,
            })
            .await?;
        Ok(UpdateResponse {
            warnings: (!warnings.is_empty()).then_some(warnings).into(),
        })
    }
}

/// What is zero or empty in the update stays as it is. What does not fit what the container has is refused.
pub fn merge(record: &mut Record, update: UpdateConfig) -> Result<()> {
    let (new, old) = (update.resources, &mut record.host.resources);
    macro_rules! take {
        ($($field:ident),*) => { $( if !empty(&new.$field) { old.$field = new.$field; } )* };
    }
    for (clash, text) in [
        (
            new.nano_cpus > 0 && old.cpu_period > 0,
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        ),
        (
            new.nano_cpus > 0 && old.cpu_quota > 0,
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
        (
            new.cpu_period > 0 && old.nano_cpus > 0,
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
        (
            new.cpu_quota > 0 && old.nano_cpus > 0,
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
        (
            new.memory > 0 && new.memory > old.memory_swap && new.memory_swap == 0,
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
    ] {
        if clash {
            return Err(conflict(text));
        }
    }
    take!(
        cpu_shares,
        memory,
        nano_cpus,
        blkio_weight,
        blkio_weight_device,
        blkio_device_read_bps,
        blkio_device_write_bps,
        blkio_device_read_iops,
        blkio_device_write_iops,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
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
            return Err(conflict(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        record.host.restart_policy = policy;
    }
    Ok(())
}
