//! Who a node is, and how nodes know each other: the cluster's CA, node certificates, join tokens and the TLS between.
//!
//! One root per cluster (ECDSA P-256). A node's certificate says in its subject who it is: CN = node id, O = cluster
//! id, OU = `swarm-manager` or `swarm-worker`. Servers are known by their role, not by their address: a client asks
//! for the name `swarm-manager`, which only managers' certificates carry; or for a node's id, where that very node is meant.
//!
//! The crate never decides who may do what (the managers do, from the [`Identity`] of each call's connection) and
//! never talks to a cluster. [`Credentials`] can be replaced while connections are open; sessions are never resumed,
//! because a resumed one would keep the identity of a certificate that is no longer true. Called by `node/manager`
//! and `node/agent`.

mod credentials;
mod error;
mod files;
mod identity;
mod peer;
mod request;
mod root;
mod token;
mod verify;

pub use credentials::Credentials;
pub use error::Error;
pub use files::{Files, Issued};
pub use identity::{Identity, ou};
pub use peer::{Acceptor, ClientStream, NodeStream, Peer, ServerStream, connect_unverified};
pub use request::Request;
pub use root::{BACKDATE, LEAF_VALIDITY_MIN, ROOT_VALIDITY, Root, RootInfo};
pub use token::{Token, TokenError};
