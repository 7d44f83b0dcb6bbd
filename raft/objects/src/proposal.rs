//! What goes through the Raft log: a list of writes that take effect together or not at all.

use crate::id::{NodeId, TaskId};
use crate::meta::Time;
use crate::object::{Kind, Object};
use crate::task::{TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

/// One change. Every write names what it was based on, so one that was decided over a stale view is refused by
/// `apply` on every manager alike and decided again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Write {
    /// A new object. Refused if the id exists, or if another object of that kind has the name.
    Create(Object),
    /// The whole object, as changed by a manager's loop. Refused unless the stored `meta.touched` equals `touched`.
    Update { object: Object, touched: u64 },
    /// The user's part of the object (its spec, and what follows from it alone): the rest is kept as stored.
    /// Refused with [`Refusal::OutOfSequence`] unless the stored `meta.version` equals `version`.
    Spec { object: Object, version: u64 },
    /// A task's status from its node. Merged forward only; ignored for a task that is gone or further on.
    Status { task: TaskId, status: TaskStatus },
    /// What the managers want of a task. Merged forward only, like a status, so it needs no version: it never
    /// conflicts with a report that arrives meanwhile. Ignored for a task that is gone.
    Desired { task: TaskId, desired: TaskState },
    /// No node sends anything new to the task any more, or it was waited for in vain that these say so. Ignored for a task
    /// that is gone.
    Drained {
        task: TaskId,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unheard: Vec<NodeId>,
    },
    /// Refused if `touched` is given and differs; an object that is already gone is not an error.
    Delete {
        kind: Kind,
        id: String,
        touched: Option<u64>,
    },
}

/// All-or-nothing. `at` is the proposer's clock, so that `apply` needs none.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Proposal {
    pub at: Time,
    pub writes: Vec<Write>,
}

/// Why `apply` refused a proposal. Refusals are deterministic and change nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    #[error("{kind:?} {id} does not exist")]
    NotFound { kind: Kind, id: String },
    #[error("{kind:?} {id} already exists")]
    Exists { kind: Kind, id: String },
    /// Docker's text.
    #[error("name conflicts with an existing object")]
    NameConflict { kind: Kind, name: String },
    /// Decided over a stale view by one of our own loops; decide again.
    #[error("{kind:?} {id} changed since it was read")]
    Stale { kind: Kind, id: String },
    /// A user's update with an old version. Docker's text.
    #[error("update out of sequence")]
    OutOfSequence { kind: Kind, id: String },
    #[error("{0}")]
    Invalid(String),
}

/// What `apply` did, in order. Watchers see these with the log index they happened at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    Created(Object),
    Updated { old: Object, new: Object },
    Deleted(Object),
}

impl Event {
    /// The object as it is after the event (or as it was, when it is gone).
    pub fn object(&self) -> &Object {
        match self {
            Event::Created(o) | Event::Deleted(o) => o,
            Event::Updated { new, .. } => new,
        }
    }
}
