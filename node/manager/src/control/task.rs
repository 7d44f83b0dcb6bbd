//! `/tasks`.

use super::convert::task::task as convert;
use super::service::find_service;
use super::{Control, known_filters, label, only};
use shoal_api_backend::{Error, Result};
use shoal_api_types::Filters;
use shoal_api_types::swarm as api;
use shoal_raft_consensus::State;
use shoal_raft_objects::{Task, TaskId, TaskState};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Control {
    pub async fn tasks(&self, filters: Filters) -> Result<Vec<api::Task>> {
        known_filters(
            &filters,
            &[
                "name",
                "id",
                "label",
                "service",
                "node",
                "desired-state",
                "_up-to-date",
                "runtime",
            ],
        )?;
        let state = self.manager.ledger.current().await?;
        for wanted in filters.get("desired-state") {
            if !matches!(
                wanted,
                "running" | "shutdown" | "accepted" | "ready" | "complete" | "remove"
            ) {
                return Err(Error::invalid(format!("invalid filter 'desired-state={wanted}'")));
            }
        }
        // Services and nodes may be given by name; one that is not there matches nothing.
        let services: BTreeSet<String> = filters
            .get("service")
            .map(|asked| find_service(&state, asked).map_or_else(|_| asked.to_owned(), |s| s.id.to_string()))
            .collect();
        let nodes: BTreeSet<String> = filters
            .get("node")
            .map(|asked| {
                self.find_node(&state, asked)
                    .map_or_else(|_| asked.to_owned(), |n| n.id.to_string())
            })
            .collect();
        let listed = state.tasks().iter().filter(|task| {
            // Docker lists no places of users' own containers.
            task.attached.is_none()
                && (services.is_empty() || services.contains(task.service_id.as_str()))
                && (nodes.is_empty() || nodes.contains(task.node_id.as_str()))
                && wanted(&state, task, &filters)
        });
        listed.map(|task| convert(&state, task)).collect()
    }

    pub async fn task(&self, id: &str) -> Result<api::Task> {
        let state = self.manager.ledger.current().await?;
        convert(&state, find_task(&state, id)?.as_ref())
    }
}

pub(super) fn find_task(state: &State, asked: &str) -> Result<Arc<Task>> {
    if let Some(task) = state.task(&TaskId::from(asked)) {
        return Ok(task.clone());
    }
    let named: Vec<_> = state
        .tasks()
        .iter()
        .filter(|t| t.name() == asked)
        .cloned()
        .collect();
    if !named.is_empty() {
        return only("task", asked, named);
    }
    let prefixed = state
        .tasks()
        .iter()
        .filter(|t| !asked.is_empty() && t.id.as_str().starts_with(asked));
    only("task", asked, prefixed.cloned().collect())
}

fn wanted(state: &State, task: &Task, filters: &Filters) -> bool {
    let desired = match task.desired {
        TaskState::Remove => "shutdown",
        desired => desired.name(),
    };
    let up_to_date = state
        .service(&task.service_id)
        .is_some_and(|service| service.spec_version == task.spec_version);
    filters.matches_prefix("id", task.id.as_str())
        && filters.matches_prefix("name", &task.name())
        && filters.matches("desired-state", desired)
        && (!filters.contains("_up-to-date")
            || filters.matches("_up-to-date", if up_to_date { "true" } else { "false" }))
        && filters.matches_labels("label", label(&task.service.labels))
}
