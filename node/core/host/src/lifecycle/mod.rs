//! The life of one container as a pure machine: `step(state, rules, input, now)` says the next state and what is to be
//! done. The actor in `node/engine` performs the effects in order and feeds back what happened.
//!
//! ```text
//!   created ──start──▶ running ◀──▶ paused
//!                        │  ▲
//!                  exited│  │launched
//!                        ▼  │
//!   exited ◀────── (restart policy) ──▶ restarting (back-off 100 ms × 2, cap 1 min, reset after 10 s of running)
//!      └──remove──▶ removing ──▶ gone, or dead when the removal failed
//! ```

mod restart;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use restart::{Policy, backoff_next};
pub use state::{Phase, State, Time};
pub use step::{Action, Effect, Input, Refusal, Rules, Then, step};
