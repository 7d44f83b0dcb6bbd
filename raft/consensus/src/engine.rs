//! The inside, for simulations: the same node on another runtime, log and network.
//!
//! openraft's types are visible here and nowhere else outside this crate and `raft/log`.

pub use crate::machine::{CHUNK_BYTES, Machine};
pub use crate::node::{Ask, Node, RaftOf};
pub use shoal_raft_log::types::TypeConfig;

use crate::Consensus;
use openraft::type_config::AsyncRuntime;
use std::sync::Arc;

/// The usual handle to a node that was assembled by hand.
pub fn handle<RT: AsyncRuntime>(node: &Arc<Node<RT>>) -> Consensus {
    Consensus::over(node.me.clone(), node.clone())
}
