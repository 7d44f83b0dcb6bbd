//! What the caller gives.

use async_trait::async_trait;
use shoal_raft_objects::{NodeId, RaftId};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Another manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    pub id: RaftId,
    pub node: NodeId,
    /// `host:port`.
    pub addr: String,
}

/// A connection between two managers, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Lends connections. The stream must be proven to end at that very node (mutual TLS in production).
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    async fn dial(&self, peer: &Peer) -> io::Result<Box<dyn Stream>>;
}

/// How quickly a lost leader is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    pub heartbeat: Duration,
    /// A follower that hears nothing for the lease (as long as `election_max`) and then for a random time between
    /// these two stands for election.
    pub election_min: Duration,
    pub election_max: Duration,
    /// How long a proposal may take before its proposer is told that it does not know.
    pub propose: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(100),
            // With the lease that is 0.55 to 0.8 s of silence; pre-vote keeps a follower that only imagines it from
            // deposing anybody.
            election_min: Duration::from_millis(150),
            election_max: Duration::from_millis(400),
            propose: Duration::from_secs(5),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Config {
    pub id: RaftId,
    pub node: NodeId,
    /// Under which the other managers reach this one: `host:port`.
    pub addr: String,
    /// Where log, snapshots and their key are kept; made if missing.
    pub dir: PathBuf,
    pub timing: Timing,
    /// Log entries between snapshots.
    pub snapshot_every: u64,
    /// Log entries kept behind a snapshot for followers that are a little late.
    pub keep: u64,
}

impl Config {
    /// With the usual timing and snapshot intervals.
    pub fn new(id: RaftId, node: NodeId, addr: impl Into<String>, dir: impl Into<PathBuf>) -> Config {
        Config {
            id,
            node,
            addr: addr.into(),
            dir: dir.into(),
            timing: Timing::default(),
            snapshot_every: 10_000,
            keep: 500,
        }
    }

    pub fn peer(&self) -> Peer {
        Peer {
            id: self.id,
            node: self.node.clone(),
            addr: self.addr.clone(),
        }
    }
}

/// openraft's configuration for ours.
pub(crate) fn raft(config: &Config) -> Result<openraft::Config, openraft::ConfigError> {
    let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    openraft::Config {
        cluster_name: "shoal".into(),
        heartbeat_interval: millis(config.timing.heartbeat),
        election_timeout_min: millis(config.timing.election_min),
        election_timeout_max: millis(config.timing.election_max),
        enable_pre_vote: Some(true),
        // A leader that restarts may have lost the tail of its own log, while followers made just that tail durable and it
        // was acknowledged. To lead on in the same term would be to write other entries under the same log ids, and to
        // read from before what a majority holds. A new term costs half a second and finds the longest log.
        enable_leader_restore: Some(false),
        install_snapshot_timeout: 60_000,
        max_payload_entries: 256,
        max_append_entries: Some(256),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(config.snapshot_every),
        max_in_snapshot_log_to_keep: config.keep,
        // A follower further behind than the log reaches back gets a snapshot anyway.
        replication_lag_threshold: config.snapshot_every.saturating_mul(2),
        purge_batch_size: 64,
        api_channel_size: Some(4096),
        notification_channel_size: Some(4096),
        ..Default::default()
    }
    .validate()
}
