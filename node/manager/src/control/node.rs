//! `/nodes`.

use super::convert::node::{self as convert, Standing};
use super::{Control, known_filters, label, only};
use crate::authority;
use crate::error;
use crate::manager::Members;
use shoal_api_backend::{Class, Error, Result};
use shoal_api_types::Filters;
use shoal_api_types::swarm as api;
use shoal_node_core_cluster::roles;
use shoal_raft_consensus::{Member, State};
use shoal_raft_objects::{Kind, Membership, Node, NodeId, Role, Write};
use std::sync::Arc;

impl Control {
    pub async fn nodes(&self, filters: Filters) -> Result<Vec<api::Node>> {
        known_filters(
            &filters,
            &["name", "id", "label", "node.label", "role", "membership"],
        )?;
        let state = self.manager.ledger.current().await?;
        let members = self.manager.ledger.consensus().members();
        let listed = state.nodes().iter().filter(|node| wanted(node, &filters));
        Ok(listed
            .map(|node| convert::node(node, standing(node, &members)))
            .collect())
    }

    pub async fn node(&self, id: &str) -> Result<api::Node> {
        let state = self.manager.ledger.current().await?;
        let node = self.find_node(&state, id)?;
        let members = self.manager.ledger.consensus().members();
        Ok(convert::node(&node, standing(&node, &members)))
    }

    pub async fn update_node(&self, id: &str, version: u64, spec: api::NodeSpec) -> Result<()> {
        let state = self.manager.ledger.current().await?;
        let node = self.find_node(&state, id)?;
        let spec = convert::spec_from(&spec)?;
        if spec.role == Role::Worker && node.spec.role == Role::Manager {
            let members = Members(self.manager.ledger.consensus().members());
            roles::may_demote(&state, &members, &node)
                .map_err(|e| error::rpc(Class::InvalidParameter, "FailedPrecondition", e))?;
        }
        let mut changed = Node::clone(&node);
        changed.spec = spec;
        let write = Write::Spec {
            object: changed.into(),
            version,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(())
    }

    pub async fn remove_node(&self, id: &str, force: bool) -> Result<()> {
        let state = self.manager.ledger.current().await?;
        let node = self.find_node(&state, id)?;
        let members = Members(self.manager.ledger.consensus().members());
        roles::may_remove(&members, &node, force)
            .map_err(|e| error::rpc(Class::InvalidParameter, "FailedPrecondition", e))?;
        let cluster = state
            .cluster()
            .ok_or_else(|| Error::not_found("no cluster found"))?;
        // Its certificates are refused from the same moment on.
        let writes = vec![
            Write::Update {
                object: authority::banish(cluster, &node.id).into(),
                touched: cluster.meta.touched,
            },
            Write::Delete {
                kind: Kind::Node,
                id: node.id.to_string(),
                touched: None,
            },
        ];
        self.manager.ledger.write(writes).await?;
        Ok(())
    }

    /// By id, by name (a node's own or its host's), by a prefix of the id, or `self`.
    pub(super) fn find_node(&self, state: &State, asked: &str) -> Result<Arc<Node>> {
        let asked = if asked == "self" {
            self.manager.ledger.consensus().me().node.as_str()
        } else {
            asked
        };
        if let Some(node) = state.node(&NodeId::from(asked)) {
            return Ok(node.clone());
        }
        let by = |matches: &dyn Fn(&Node) -> bool| -> Vec<Arc<Node>> {
            state
                .nodes()
                .iter()
                .filter(|node| matches(node))
                .cloned()
                .collect()
        };
        let named = by(&|node| node.spec.name == asked || node.description.hostname == asked);
        if !named.is_empty() {
            return only("node", asked, named);
        }
        only(
            "node",
            asked,
            by(&|node| !asked.is_empty() && node.id.as_str().starts_with(asked)),
        )
    }
}

fn standing(node: &Node, members: &[Member]) -> Option<Standing> {
    let place = node.manager.as_ref()?;
    let member = members.iter().find(|m| m.peer.id == place.raft_id);
    Some(match member {
        Some(member) => Standing {
            leader: member.leads,
            reachable: member.reachable.unwrap_or(false),
        },
        None => Standing {
            leader: false,
            reachable: false,
        },
    })
}

fn wanted(node: &Node, filters: &Filters) -> bool {
    let membership = match node.membership {
        Membership::Accepted => "accepted",
        Membership::Pending => "pending",
    };
    let name = if node.spec.name.is_empty() {
        &node.description.hostname
    } else {
        &node.spec.name
    };
    filters.matches_prefix("id", node.id.as_str())
        && filters.matches_prefix("name", name)
        && filters.matches("role", convert::role(node.spec.role))
        && filters.matches("membership", membership)
        && filters.matches_labels("label", label(&node.description.engine_labels))
        && filters.matches_labels("node.label", label(&node.spec.labels))
}
