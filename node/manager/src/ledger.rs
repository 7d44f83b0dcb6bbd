//! Writing to the cluster and reading what is current, from any manager.

use crate::error;
use crate::ids::now;
use crate::peers::Peers;
use shoal_api_backend::{Error, Result};
use shoal_api_wire::membership::ProposeRequest;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_raft_consensus::{Consensus, Leadership, Peer, ProposeError, State};
use shoal_raft_objects::{Proposal, Refusal, Write, codec};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a call waits for a leader before it is refused for want of one.
pub(crate) const LEADER_PATIENCE: Duration = Duration::from_secs(8);
/// The leader's answer to a proposal that was handed to it.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How a write ended when it did not take effect.
#[derive(Debug)]
pub(crate) enum WriteError {
    Refused(Refusal),
    Other(Error),
}

impl From<WriteError> for Error {
    fn from(e: WriteError) -> Error {
        match e {
            WriteError::Refused(refused) => error::refusal(&refused),
            WriteError::Other(e) => e,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Ledger {
    consensus: Consensus,
    pub peers: Peers,
}

impl Ledger {
    pub fn new(consensus: Consensus, peers: Peers) -> Self {
        Self { consensus, peers }
    }

    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// As far as this manager has applied it.
    pub fn state(&self) -> State {
        self.consensus.state()
    }

    /// With everything in it that was acknowledged before the call.
    pub async fn current(&self) -> Result<State> {
        match tokio::time::timeout(LEADER_PATIENCE, self.consensus.barrier()).await {
            Ok(read) => read.map_err(|e| error::read(&e)),
            Err(_) => Err(error::no_leader()),
        }
    }

    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.consensus.leadership()
    }

    pub fn leads(&self) -> bool {
        self.consensus.leadership().borrow().is_self
    }

    /// The leader, which may be this manager; waits for one a while.
    pub async fn leader(&self) -> Result<(Peer, bool)> {
        let mut leadership = self.consensus.leadership();
        let found = leadership
            .wait_for(|l| l.is_self || l.leader.as_ref().is_some_and(|p| p.id != self.consensus.me().id));
        match tokio::time::timeout(LEADER_PATIENCE, found).await {
            Ok(Ok(found)) if found.is_self => Ok((self.consensus.me().clone(), true)),
            Ok(Ok(found)) => match &found.leader {
                Some(leader) => Ok((leader.clone(), false)),
                None => Err(error::no_leader()),
            },
            _ => Err(error::no_leader()),
        }
    }

    /// Has the writes applied, through the leader wherever it is. Answers their log index.
    pub async fn write(&self, writes: Vec<Write>) -> std::result::Result<u64, WriteError> {
        self.propose(&Proposal { at: now(), writes }).await
    }

    pub async fn propose(&self, proposal: &Proposal) -> std::result::Result<u64, WriteError> {
        let until = Instant::now() + LEADER_PATIENCE;
        loop {
            let (leader, is_self) = self.leader().await.map_err(WriteError::Other)?;
            let tried = if is_self {
                self.locally(proposal).await
            } else {
                self.remotely(&leader, proposal).await
            };
            match tried {
                Ok(done) => return done,
                // Nothing was proposed: it is safe to ask again.
                Err(Retry) if Instant::now() < until => self.leader_changes(&leader).await,
                Err(Retry) => return Err(WriteError::Other(error::no_leader())),
            }
        }
    }

    async fn locally(
        &self,
        proposal: &Proposal,
    ) -> std::result::Result<std::result::Result<u64, WriteError>, Retry> {
        match self.consensus.propose(proposal).await {
            Ok(applied) => Ok(Ok(applied.index)),
            Err(ProposeError::Refused(refusal)) => Ok(Err(WriteError::Refused(refusal))),
            Err(ProposeError::NotLeader { .. }) => Err(Retry),
            Err(other) => Ok(Err(WriteError::Other(error::propose(&other)))),
        }
    }

    async fn remotely(
        &self,
        leader: &Peer,
        proposal: &Proposal,
    ) -> std::result::Result<std::result::Result<u64, WriteError>, Retry> {
        let other = |e: Error| Ok(Err(WriteError::Other(e)));
        let bytes = match codec::encode(proposal) {
            Ok(bytes) => bytes,
            Err(e) => return other(Error::system(e.to_string())),
        };
        let Ok(channel) = self.peers.channel(&leader.addr) else {
            return Err(Retry);
        };
        let mut client = MembershipClient::new(channel)
            .max_encoding_message_size(shoal_api_wire::channel::MESSAGE_BYTES_MAX);
        let call = client.propose(ProposeRequest {
            proposal: bytes.into(),
        });
        let answer = match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(answer)) => answer.into_inner(),
            // The code with which the other side says that it took nothing up; see `serve::membership`.
            Ok(Err(status)) if status.code() == tonic::Code::FailedPrecondition => return Err(Retry),
            Ok(Err(status)) => {
                self.peers.forget(&leader.addr);
                return other(error::status(&status));
            }
            Err(_) => {
                self.peers.forget(&leader.addr);
                return other(error::no_leader());
            }
        };
        if answer.refusal.is_empty() {
            return Ok(Ok(answer.index));
        }
        match codec::decode(&answer.refusal) {
            Ok(refusal) => Ok(Err(WriteError::Refused(refusal))),
            Err(e) => other(Error::system(e.to_string())),
        }
    }

    /// Waits until somebody else may lead than `last`, but not for long.
    pub async fn leader_changes(&self, last: &Peer) {
        let mut leadership = self.consensus.leadership();
        let changed = leadership.wait_for(|l| l.leader.as_ref() != Some(last));
        let _ = tokio::time::timeout(Duration::from_millis(100), changed).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The one that was asked does not lead, and did nothing.
struct Retry;
