//! Asks the nodes whose sessions are here what differs between their kernels and what was decided.

use super::Sessions;
use parking_lot::Mutex;
use shoal_api_wire::dispatcher::{Examine, Findings, from_manager};
use shoal_api_wire::membership::Examined;
use shoal_raft_objects::NodeId;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;

/// A node looks at its kernel within milliseconds; a busy one takes longer.
const PATIENCE: Duration = Duration::from_secs(8);

/// Questions that were asked and not answered yet.
#[derive(Default)]
pub(crate) struct Examiner {
    open: Mutex<HashMap<(String, NodeId), oneshot::Sender<Findings>>>,
}

impl Examiner {
    /// Every node that has its session here; those that do not answer in time say so.
    pub async fn ask(&self, sessions: &Sessions) -> Vec<Examined> {
        let question = format!("{:032x}", rand::random::<u128>());
        let asked = sessions.nodes().into_iter().map(|node| {
            let (answer, answered) = oneshot::channel();
            let key = (question.clone(), node.clone());
            self.open.lock().insert(key.clone(), answer);
            let message = from_manager::Message::Examine(Examine {
                question: question.clone(),
            });
            let told = sessions.tell(&node, message);
            async move {
                let found = match told {
                    true => tokio::time::timeout(PATIENCE, answered).await.ok(),
                    false => None,
                };
                self.open.lock().remove(&key);
                match found {
                    Some(Ok(findings)) => Examined {
                        node_id: node.to_string(),
                        differences: findings.differences,
                        error: findings.error,
                    },
                    _ => Examined {
                        node_id: node.to_string(),
                        differences: Vec::new(),
                        error: "the node does not answer".into(),
                    },
                }
            }
        });
        futures_util::future::join_all(asked).await
    }

    pub fn found(&self, node: &NodeId, findings: Findings) {
        let key = (findings.question.clone(), node.clone());
        if let Some(answer) = self.open.lock().remove(&key) {
            let _ = answer.send(findings);
        }
    }
}
