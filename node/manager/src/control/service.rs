//! `/services`.

use super::convert::service::{self as convert, invalid_argument};
use super::{Control, known_filters, label, only};
use crate::error;
use crate::ids::Ids;
use shoal_api_backend::{Error, Result, UpdateService};
use shoal_api_types::swarm as api;
use shoal_api_types::{Filters, Slice};
use shoal_node_core_cluster::{allocator, validate};
use shoal_raft_consensus::State;
use shoal_raft_objects::service::{ModeKind, UpdateState};
use shoal_raft_objects::{Endpoint, Kind, Service, ServiceId, ServiceSpec, TaskState, UpdateStatus, Write};
use std::sync::Arc;

impl Control {
    pub async fn services(&self, filters: Filters, status: bool) -> Result<Vec<api::Service>> {
        known_filters(&filters, &["name", "id", "label", "mode", "runtime"])?;
        let state = self.manager.ledger.current().await?;
        let listed = state
            .services()
            .iter()
            .filter(|service| wanted(service, &filters));
        listed
            .map(|service| convert::service(service, status.then(|| counts(&state, service)), false))
            .collect()
    }

    pub async fn service(&self, id: &str, insert_defaults: bool) -> Result<api::Service> {
        let state = self.manager.ledger.current().await?;
        convert::service(find_service(&state, id)?.as_ref(), None, insert_defaults)
    }

    pub async fn create_service(
        &self,
        spec: api::ServiceSpec,
        registry_auth: String,
    ) -> Result<api::ServiceCreateResponse> {
        let auth = Some(registry_auth).filter(|auth| !auth.is_empty());
        let mut spec = convert::spec_from(spec, auth)?;
        if spec.name.is_empty() {
            spec.name = self.free_name().await?;
        }
        let state = self.manager.ledger.current().await?;
        super::networks::resolve(&state, &mut spec)?;
        check(&spec)?;
        let id = ServiceId::draw(&mut Ids);
        let endpoint = endpoint(&state, &id, &spec, &Default::default())?;
        let service = Service {
            id: id.clone(),
            spec,
            endpoint,
            ..Default::default()
        };
        self.manager
            .ledger
            .write(vec![Write::Create(service.into())])
            .await?;
        Ok(api::ServiceCreateResponse {
            id: id.to_string(),
            warnings: Slice::nil(),
        })
    }

    /// A name for a service that nobody named, as Docker's daemon gives one.
    async fn free_name(&self) -> Result<String> {
        let state = self.manager.ledger.current().await?;
        let taken = |name: &str| state.services().named(name).next().is_some();
        let mut retry = 0;
        loop {
            let random = shoal_raft_objects::IdSource::next_u128(&mut Ids) as u64;
            let name = shoal_node_core_host::names::generate(random, retry);
            // With a number appended a free one is found soon, however many services there are.
            if !taken(&name) || retry > 100 {
                return Ok(name);
            }
            retry += 1;
        }
    }

    pub async fn update_service(
        &self,
        id: &str,
        options: UpdateService,
        spec: api::ServiceSpec,
    ) -> Result<api::ServiceUpdateResponse> {
        let state = self.manager.ledger.current().await?;
        let service = find_service(&state, id)?;
        let mut changed = Service::clone(&service);
        match options.rollback.as_str() {
            "" | "none" => {
                let auth = convert::pull_auth(options.registry_auth, &options.registry_auth_from, &service)?;
                let mut spec = convert::spec_from(spec, auth)?;
                super::networks::resolve(&state, &mut spec)?;
                check(&spec)?;
                endpoint(&state, &service.id, &spec, &service.endpoint)?;
                validate::change(&service, &spec).map_err(|e| match e.0.as_str() {
                    "renaming services is not supported" | "service mode change is not allowed" => {
                        error::rpc(shoal_api_backend::Class::NotImplemented, "Unimplemented", &e)
                    }
                    _ => invalid_argument(&e.to_string()),
                })?;
                changed.spec = spec;
            }
            // The specs are exchanged here, under the same version check; the client's own copy may be older.
            "previous" => {
                changed.spec = service.previous_spec.clone().ok_or_else(|| {
                    error::rpc(
                        shoal_api_backend::Class::InvalidParameter,
                        "FailedPrecondition",
                        format!("service {} does not have a previous spec", service.id),
                    )
                })?;
                changed.update_status = Some(UpdateStatus {
                    state: UpdateState::RollbackStarted,
                    started_at: Some(crate::ids::now()),
                    message: "manually requested rollback".into(),
                    ..Default::default()
                });
            }
            other => return Err(Error::invalid(format!("unrecognized rollback option {other}"))),
        }
        let write = Write::Spec {
            object: changed.into(),
            version: options.version,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(api::ServiceUpdateResponse {
            warnings: Slice::nil(),
        })
    }

    pub async fn remove_service(&self, id: &str) -> Result<()> {
        let state = self.manager.ledger.current().await?;
        let service = find_service(&state, id)?;
        let write = Write::Delete {
            kind: Kind::Service,
            id: service.id.to_string(),
            touched: None,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(())
    }
}

fn check(spec: &ServiceSpec) -> Result<()> {
    validate::service(spec).map_err(|e| invalid_argument(&e.to_string()))
}

/// Somebody else's port is refused when it is asked for, not when a task would need it.
fn endpoint(state: &State, id: &ServiceId, spec: &ServiceSpec, current: &Endpoint) -> Result<Endpoint> {
    allocator::endpoint(state, id, spec.endpoint_spec.as_ref(), current)
        .map_err(|e| invalid_argument(&e.to_string()))
}

/// By id, by name, or by an unambiguous prefix of the id.
pub(super) fn find_service(state: &State, asked: &str) -> Result<Arc<Service>> {
    if let Some(service) = state.service(&ServiceId::from(asked)) {
        return Ok(service.clone());
    }
    if let Some(service) = state.service_named(asked) {
        return Ok(service.clone());
    }
    let prefixed = state
        .services()
        .iter()
        .filter(|s| !asked.is_empty() && s.id.as_str().starts_with(asked));
    only("service", asked, prefixed.cloned().collect())
}

fn wanted(service: &Service, filters: &Filters) -> bool {
    let mode = match service.spec.mode.kind() {
        ModeKind::Replicated { .. } => "replicated",
        ModeKind::Global => "global",
        ModeKind::ReplicatedJob { .. } => "replicated-job",
        ModeKind::GlobalJob => "global-job",
    };
    filters.matches_prefix("id", service.id.as_str())
        && filters.matches_prefix("name", &service.spec.name)
        && filters.matches("mode", mode)
        && filters.matches(
            "runtime",
            service
                .spec
                .task_template
                .runtime
                .as_deref()
                .unwrap_or("container"),
        )
        && filters.matches_labels("label", label(&service.spec.labels))
}

/// What `service ls` shows under REPLICAS.
fn counts(state: &State, service: &Service) -> api::ServiceStatus {
    let mut counts = api::ServiceStatus::default();
    let mut wanted = 0;
    for task in state.tasks_of_service(&service.id) {
        let this_iteration = task.job_iteration.is_none_or(|i| i == service.job_iteration);
        if task.status.state == TaskState::Running && task.desired <= TaskState::Complete {
            counts.running_tasks += 1;
        }
        if task.status.state == TaskState::Complete && this_iteration {
            counts.completed_tasks += 1;
        }
        if this_iteration && task.desired <= TaskState::Complete {
            wanted += 1;
        }
    }
    counts.desired_tasks = match service.spec.mode.kind() {
        ModeKind::Replicated { replicas } => replicas,
        ModeKind::ReplicatedJob { max_concurrent, .. } => max_concurrent,
        // One for each node that may run it: exactly those that the orchestrator wants.
        ModeKind::Global => wanted,
        // What is done is not wanted any more: clients add the two up.
        ModeKind::GlobalJob => wanted.saturating_sub(counts.completed_tasks),
    };
    counts
}
