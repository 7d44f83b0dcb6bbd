//! The worker's side of a cluster: holds a session with some manager, carries out the tasks that it assigns to this
//! node, and reports what became of them.
//!
//! ```text
//!            session (one stream to any manager: heartbeats, assignments, acknowledgements)
//!   orders ▼                                    ▲ newest status per task, in small batches
//!           worker ── one runner per task ── reporter
//!                       │ core/host::taskstep says what, [`Executor`] does it
//! ```
//! It never decides what should run where, never sees Raft or a database, and starts nothing on orders that are
//! older than the cluster's patience: a node that was frozen or cut off asks for its complete set first. Containers
//! are not its business either: [`Executor`] is this crate's own trait, implemented over the engine by `node/daemon`,
//! which is the only caller.

mod agent;
mod attachments;
mod book;
mod executor;
mod ground;
mod logs;
mod managers;
mod orders;
mod peers;
mod renewal;
mod reporter;
mod runner;
mod session;
mod worker;

pub use agent::{Agent, Config};
pub use attachments::{Attachments, CallError};
pub use executor::{Executor, Exit, LogLine, LogOptions, LogStream, Material, Started, TaskError};
pub use managers::{ClusterView, ManagerPeer};
pub use peers::Peers;
pub use renewal::RenewError;
