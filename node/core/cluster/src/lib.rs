//! What a cluster decides, as pure functions of values.
//!
//! One function drives everything: [`step`] looks at a view of the cluster and answers with the [`Decision`]: the
//! proposals that follow from it and when to look again. In that one step the liveness of nodes, the orchestrators
//! (replicated, global, jobs), restarts, rolling updates, port allocation, the scheduler and the reaper see each
//! other's outcome, so that "create, allocate, schedule" is one log entry. Beside it stand the functions that a
//! manager asks one at a time: [`assignments`] for one node, [`reports`] to batch what agents say, [`roles`] and
//! [`validate`] for requests of users.
//!
//! Never a clock, a disk, a socket, a thread or a random source: time and ids are arguments, and whatever must survive
//! a change of leader is in the state, not in [`Memory`]. Called by `node/manager` on the leader and by `tests/sim`.

pub mod allocator;
pub mod assignments;
pub mod concern;
pub mod constraint;
mod decision;
mod draft;
mod enforcer;
pub mod liveness;
mod memory;
pub mod orchestrator;
mod portoptions;
mod reaper;
pub mod reports;
pub mod roles;
pub mod scheduler;
mod step;
mod task;
mod tracks;
pub mod validate;

pub use decision::{Decision, PROPOSAL_BYTES_MAX, PROPOSAL_WRITES_MAX};
pub use memory::Memory;
pub use step::step;
pub use task::{is_over, is_wanted};
