//! What follows from a service's spec alone.

use super::At;
use shoal_raft_objects::Service;
use shoal_raft_objects::service::{ModeKind, UpdateState};

fn is_job(service: &Service) -> bool {
    matches!(
        service.spec.mode.kind(),
        ModeKind::ReplicatedJob { .. } | ModeKind::GlobalJob
    )
}

/// A service as it is first stored.
pub fn created(service: &Service, at: At) -> Service {
    let mut service = service.clone();
    service.spec_version = at.index;
    if is_job(&service) && service.last_execution.is_none() {
        service.last_execution = Some(at.time);
    }
    service
}

/// A loop's change. A loop that rolls back restores spec and version together; any other change of the spec is a new
/// version of it.
pub fn updated(old: &Service, new: &mut Service, at: At) {
    if new.spec != old.spec && new.spec_version == old.spec_version {
        new.spec_version = at.index;
    }
}

/// A user's change. Going back to the previous spec gives back its version, so tasks that still run it count as
/// clean. The status of an earlier update does not apply to the new spec, except that a rollback says it is one.
pub fn respecified(row: &mut Service, wanted: &Service, at: At) {
    let spec = wanted.spec.clone();
    let spec_version = match (&row.previous_spec, row.previous_spec_version) {
        (Some(previous), Some(version)) if *previous == spec => version,
        _ if row.spec == spec => row.spec_version,
        _ => at.index,
    };
    let runs_again = row.spec.task_template.force_update != spec.task_template.force_update;
    row.previous_spec_version = Some(row.spec_version);
    row.previous_spec = Some(std::mem::replace(&mut row.spec, spec));
    row.spec_version = spec_version;
    row.update_status = wanted.update_status.clone().filter(|status| {
        status.state == UpdateState::RollbackStarted && row.update_status != wanted.update_status
    });
    if is_job(row) && runs_again {
        row.job_iteration += 1;
        row.last_execution = Some(at.time);
    }
}
