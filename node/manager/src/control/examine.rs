//! `network doctor` of all nodes: each manager asks those whose sessions it holds.

use super::Control;
use shoal_api_backend::Result;
use shoal_api_types::network::Examined as Shown;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_api_wire::membership::{ExamineRequest, Examined};
use shoal_raft_objects::NodeState;
use std::collections::HashMap;
use std::time::Duration;

/// Longer than a manager waits for its nodes.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

impl Control {
    pub async fn examine(&self) -> Result<Vec<Shown>> {
        let state = self.manager.ledger.current().await?;
        let me = self.manager.ledger.consensus().me().addr.clone();
        let managers = crate::dispatch::session::managers(&state);
        let others = managers.into_iter().filter(|(_, addr)| *addr != me);
        let others = futures_util::future::join_all(others.map(|(_, addr)| self.examined_by(addr)));
        let (here, others) = tokio::join!(self.manager.examiner.ask(&self.manager.sessions), others);
        let mut found: HashMap<String, Examined> = HashMap::new();
        for one in here.into_iter().chain(others.into_iter().flatten()) {
            // A session that has just moved may be known to two managers: the one that was answered counts.
            let known = found
                .get(&one.node_id)
                .is_some_and(|known| known.error.is_empty());
            if !known {
                found.insert(one.node_id.clone(), one);
            }
        }
        let shown = state.nodes().iter().map(|node| {
            let found = found.remove(node.id.as_str());
            let error = match node.status.state {
                NodeState::Down => "the node is down",
                _ => "no manager has a session of the node",
            };
            let found = found.unwrap_or_else(|| Examined {
                error: error.into(),
                ..Examined::default()
            });
            Shown {
                id: node.id.to_string(),
                name: node.description.hostname.clone(),
                differences: found.differences,
                error: found.error,
            }
        });
        Ok(shown.collect())
    }

    /// A manager that cannot be asked has no nodes, as far as anybody can know.
    async fn examined_by(&self, addr: String) -> Vec<Examined> {
        let Ok(channel) = self.manager.ledger.peers.channel(&addr) else {
            return Vec::new();
        };
        let mut client = MembershipClient::new(channel);
        match tokio::time::timeout(CALL_TIMEOUT, client.examine(ExamineRequest {})).await {
            Ok(Ok(answer)) => answer.into_inner().nodes,
            _ => Vec::new(),
        }
    }
}
