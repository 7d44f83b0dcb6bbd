//! The control plane of one node: its membership in a cluster, and on managers everything that answers, decides and
//! hands out work.
//!
//! ```text
//! docker ─▶ control (api/backend) ─▶ ledger ─▶ raft/consensus ─▶ state on every manager
//!                                       ▲                             │ events
//!             leader: decide, roles ────┘ (core/cluster decides)      ▼
//! agents ◀──────────── dispatch (any manager, from its own replica) ◀─┘
//! joiners ─▶ authority      workers ─▶ forward ─▶ the leader's API      service logs ─▶ broker ─▶ agents
//! ```
//! [`Swarm`] is the one handle: it implements the cluster's half of `api/backend` and says where a call is answered.
//! Nothing here decides what should run where (`node/core/cluster` does), touches a container (the agent does), or
//! knows HTTP. What it needs of its host it asks through the small traits in [`host`], implemented by `node/daemon`.

mod address;
mod authority;
mod control;
mod dispatch;
mod error;
mod forward;
pub mod host;
mod ids;
mod leader;
mod ledger;
mod logbroker;
mod manager;
mod peers;
mod serve;
mod state_file;
mod swarm;

pub use error::SwarmError;
pub use state_file::is_member;
pub use swarm::{Config, Swarm};
