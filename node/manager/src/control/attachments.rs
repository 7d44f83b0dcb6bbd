//! Places on the cluster's networks for containers of users' own, asked for by the nodes that these run on.

use super::networks::find_network;
use super::{Control, Wish};
use crate::error;
use crate::ids::Ids;
use crate::ledger::WriteError;
use shoal_api_backend::{Class, Result};
use shoal_raft_consensus::State;
use shoal_raft_objects::{
    Attachment, Kind, Network, NetworkId, NodeId, Refusal, ServiceId, Task, TaskState, Write,
};
use std::sync::Arc;
use std::time::Duration;

/// An address is given within one step of the leader; without a leader nobody waits for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

impl Control {
    pub async fn find(&self, asked: &str) -> Result<Arc<Network>> {
        find_network(&self.manager.ledger.current().await?, asked)
    }

    /// The container's place on the network, which it may have from before.
    pub async fn attach(&self, node: &NodeId, wish: Wish) -> Result<Attachment> {
        // From before the write, so that nothing is missed.
        let (_, mut changes) = self.manager.ledger.consensus().watch();
        let task = self.ask(node, &wish).await?;
        let placed = async {
            loop {
                let state = self.manager.ledger.state();
                if let Some(task) = state.task(&task.id) {
                    if let [place] = &task.networks[..] {
                        return Ok(place.clone());
                    }
                    if !task.status.err.is_empty() {
                        return Err(error::rpc(Class::System, "Unknown", &task.status.err));
                    }
                }
                if changes.next().await.is_none() {
                    return Err(error::no_leader());
                }
            }
        };
        let placed = match tokio::time::timeout(PATIENCE, placed).await {
            Ok(placed) => placed,
            Err(_) => Err(error::no_leader()),
        };
        if placed.is_err() {
            // Nobody waits for it any more.
            let _ = self.give_up(&task).await;
        }
        placed
    }

    pub async fn detach(&self, node: &NodeId, network: &NetworkId, container: &str) -> Result<()> {
        let state = self.manager.ledger.current().await?;
        for task in attached(&state, node, network, container) {
            self.give_up(&task).await?;
        }
        Ok(())
    }

    async fn give_up(&self, task: &Task) -> Result<()> {
        let write = Write::Delete {
            kind: Kind::Task,
            id: task.id.to_string(),
            touched: None,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(())
    }

    /// The task that stands for the container: made, or brought up to date where it is known by other names now.
    async fn ask(&self, node: &NodeId, wish: &Wish) -> Result<Task> {
        loop {
            let state = self.manager.ledger.current().await?;
            let network = find_network(&state, wish.network.as_str())?;
            let wish = &Wish {
                network: network.id.clone(),
                ..wish.clone()
            };
            let (task, write) = match attached(&state, node, &network.id, &wish.container).first() {
                Some(known) if known.attached.as_ref() == Some(wish) => return Ok(Task::clone(known)),
                Some(known) => renamed(known, wish),
                None => {
                    may_attach(&network)?;
                    let task = task(node, wish);
                    (task.clone(), Write::Create(task.into()))
                }
            };
            match self.manager.ledger.write(vec![write]).await {
                Ok(_) => return Ok(task),
                // Changed by the leader's step meanwhile.
                Err(WriteError::Refused(Refusal::Stale { .. } | Refusal::NotFound { .. })) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
}

/// Docker's words.
fn may_attach(network: &Network) -> Result<()> {
    let name = &network.spec.annotations.name;
    if !network.spec.is_overlay() || !network.spec.attachable {
        return Err(error::rpc(
            Class::Forbidden,
            "PermissionDenied",
            format!("network {name} not manually attachable"),
        ));
    }
    Ok(())
}

fn attached(state: &State, node: &NodeId, network: &NetworkId, container: &str) -> Vec<Arc<Task>> {
    let is_it = |task: &&Arc<Task>| {
        task.node_id == *node
            && task
                .attached
                .as_ref()
                .is_some_and(|a| a.network == *network && a.container == container)
    };
    state
        .tasks_of_service(&ServiceId::default())
        .filter(is_it)
        .cloned()
        .collect()
}

fn task(node: &NodeId, wish: &Wish) -> Task {
    let mut task = Task {
        id: shoal_raft_objects::TaskId::draw(&mut Ids),
        node_id: node.clone(),
        desired: TaskState::Running,
        attached: Some(wish.clone()),
        ..Task::default()
    };
    task.status.timestamp = crate::ids::now();
    task.status.message = "created".into();
    task.status.container = Some(shoal_raft_objects::task::ContainerStatus {
        container_id: wish.container.clone(),
        ..Default::default()
    });
    task
}

/// The place stays, under other names.
fn renamed(known: &Task, wish: &Wish) -> (Task, Write) {
    let mut task = known.clone();
    for place in &mut task.networks {
        place.aliases.clone_from(&wish.aliases);
    }
    let before = task.attached.take().unwrap_or_default();
    task.attached = Some(Wish {
        address: before.address,
        address6: before.address6,
        ..wish.clone()
    });
    let write = Write::Update {
        object: task.clone().into(),
        touched: known.meta.touched,
    };
    (task, write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attachable_overlays_take_containers_of_users() {
        let mut network = Network::default();
        network.spec.annotations.name = "mesh".into();
        network.spec.driver = "overlay".into();
        let refused = may_attach(&network).expect_err("not attachable").message;
        assert_eq!(
            refused,
            "rpc error: code = PermissionDenied desc = network mesh not manually attachable"
        );
        network.spec.attachable = true;
        assert!(may_attach(&network).is_ok());
    }
}
