//! What nodes say to each other: messages and gRPC services, generated from `proto/`, and a few helpers to carry them.
//!
//! One module per service. Cluster objects travel inside as `bytes` in the encoding of `shoal_raft_objects::codec`,
//! the same that log and snapshots use, so they have one shape everywhere. TLS is not here: [`channel`] and
//! [`tunnel`] work over whatever stream they are given. Called by `node/manager`, `node/agent` and `raft/consensus`.
//!
//! ```text
//! agent    ──Dispatcher.Session──▶ any manager        joiner ──Ca.Root, Ca.Issue──▶ any manager ──▶ leader
//! node     ──Forward.Tunnel──────▶ leader (one hop)   agent  ──Logs.Publish──────▶ its session's manager
//! follower ──Membership.Propose──▶ leader             manager ◀─Raft─▶ manager
//! node     ──Images.Resolve, Meet, Read──▶ any node
//! ```

pub mod channel;
pub mod pieces;
pub mod removed;
pub mod tunnel;

/// The generated code, in the nesting that it expects of itself; use the short names below.
pub mod shoal {
    pub mod ca {
        pub mod v1 {
            tonic::include_proto!("shoal.ca.v1");
        }
    }
    pub mod dispatcher {
        pub mod v1 {
            tonic::include_proto!("shoal.dispatcher.v1");
        }
    }
    pub mod forward {
        pub mod v1 {
            tonic::include_proto!("shoal.forward.v1");
        }
    }
    pub mod images {
        pub mod v1 {
            tonic::include_proto!("shoal.images.v1");
        }
    }
    pub mod logs {
        pub mod v1 {
            tonic::include_proto!("shoal.logs.v1");
        }
    }
    pub mod membership {
        pub mod v1 {
            tonic::include_proto!("shoal.membership.v1");
        }
    }
    pub mod raft {
        pub mod v1 {
            tonic::include_proto!("shoal.raft.v1");
        }
    }
}

pub use shoal::ca::v1 as ca;
pub use shoal::dispatcher::v1 as dispatcher;
pub use shoal::forward::v1 as forward;
pub use shoal::images::v1 as images;
pub use shoal::logs::v1 as logs;
pub use shoal::membership::v1 as membership;
pub use shoal::raft::v1 as raft;
