//! What agents are told and what they say, on every manager, from its own replica.

mod examiner;
pub(crate) mod herald;
pub(crate) mod pulse;
pub(crate) mod reports;
pub(crate) mod session;
pub(crate) mod sessions;

pub(crate) use examiner::Examiner;
pub(crate) use pulse::Pulse;
pub(crate) use reports::Reports;
pub(crate) use sessions::Sessions;
