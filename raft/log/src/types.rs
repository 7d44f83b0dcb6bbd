//! What openraft is told about us: our entry, our ids, our replies.

use bytes::Bytes;
use openraft::type_config::AsyncRuntime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shoal_raft_objects::{Event, NodeId, Refusal};
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Generic over the runtime, so that a simulation runs the same code on virtual time.
pub struct TypeConfig<RT>(PhantomData<fn() -> RT>);

// Derives would ask the same of the runtime, of which there never is a value here.
impl<RT> Clone for TypeConfig<RT> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<RT> Copy for TypeConfig<RT> {}
impl<RT> Default for TypeConfig<RT> {
    fn default() -> Self {
        TypeConfig(PhantomData)
    }
}
impl<RT> fmt::Debug for TypeConfig<RT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypeConfig")
    }
}
impl<RT> PartialEq for TypeConfig<RT> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<RT> Eq for TypeConfig<RT> {}
impl<RT> PartialOrd for TypeConfig<RT> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<RT> Ord for TypeConfig<RT> {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<RT: AsyncRuntime> openraft::RaftTypeConfig for TypeConfig<RT> {
    type D = Payload;
    type R = Reply;
    /// [`shoal_raft_objects::RaftId`]; a bare number because openraft's suite wants to make its own.
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    /// Plain Raft: at most one leader in a term.
    type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Payload, u64, Member>;
    type Entry = Entry;
    type AsyncRuntime = RT;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub type LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>;
pub type CommittedLeaderId = <LeaderId as openraft::vote::RaftLeaderId>::Committed;
pub type LogId = openraft::LogId<CommittedLeaderId>;
pub type Vote = openraft::impls::Vote<LeaderId>;
pub type Entry = openraft::Entry<CommittedLeaderId, openraft::EntryPayload<Payload, u64, Member>>;
pub type Membership = openraft::Membership<u64, Member>;
pub type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, Member>;
pub type SnapshotMeta = openraft::storage::SnapshotMeta<CommittedLeaderId, u64, Member>;

/// An encoded proposal. Encoded once by the proposer; log and wire carry the bytes as they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(pub Bytes);

// The content may be a secret: only its size is ever printed.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Payload;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a proposal")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload(Bytes::copy_from_slice(bytes)))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Payload, E> {
                Ok(Payload(bytes.into()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// A manager, as the membership entries of the log know it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Member {
    pub node: NodeId,
    /// `host:port`.
    pub addr: String,
}

/// What became of an entry, told to whoever proposed it. Never stored or sent.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub enum Reply {
    Applied(#[serde(skip)] Arc<[Event]>),
    Refused(Refusal),
    /// An election or a change of membership.
    #[default]
    Nothing,
}
