//! Managers among themselves.

use super::{Desk, to_status};
use crate::error;
use crate::manager::Manager;
use shoal_api_wire::membership::membership_client::MembershipClient;
use shoal_api_wire::membership::membership_server::Membership;
use shoal_api_wire::membership::{
    ExamineRequest, ExamineResponse, HeardRequest, HeardResponse, JoinRequest, JoinResponse, LeaveRequest,
    LeaveResponse, Member, PokeRequest, PokeResponse, ProbeRequest, ProbeResponse, ProposeRequest,
    ProposeResponse,
};
use shoal_api_wire::removed;
use shoal_raft_consensus::ProposeError;
use shoal_raft_objects::{NodeId, Proposal, RaftId, codec};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub struct Service(pub Arc<Desk>);

#[tonic::async_trait]
impl Membership for Service {
    async fn examine(&self, request: Request<ExamineRequest>) -> Result<Response<ExamineResponse>, Status> {
        self.0.manager_caller(request.extensions())?;
        let manager = self.0.manager()?;
        let nodes = manager.examiner.ask(&manager.sessions).await;
        Ok(Response::new(ExamineResponse { nodes }))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let caller = self.0.manager_caller(request.extensions())?;
        let (_, manager) = self.0.known_caller(request.extensions()).await?;
        let from = Desk::addr(request.extensions());
        let request = request.into_inner();
        let (leader, is_self) = manager.ledger.leader().await.map_err(to_status)?;
        if !is_self {
            // The leader must see the candidate's own certificate, so it is not asked on its behalf.
            return Err(leads(&leader.addr));
        }
        let addr = match (request.addr.strip_prefix(':'), from) {
            (Some(port), Some(from)) => match port.parse() {
                Ok(port) => std::net::SocketAddr::new(from.ip(), port).to_string(),
                Err(_) => return Err(Status::invalid_argument("invalid port")),
            },
            _ => request.addr,
        };
        let admitted = manager.admit(&caller.node, &addr).await.map_err(to_status)?;
        let members = admitted.members.iter().map(|m| Member {
            raft_id: m.peer.id.0,
            addr: m.peer.addr.clone(),
        });
        Ok(Response::new(JoinResponse {
            raft_id: admitted.id.0,
            members: members.collect(),
            addr,
        }))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        let caller = self.0.manager_caller(request.extensions())?;
        let manager = self.0.manager()?;
        let (leader, is_self) = manager.ledger.leader().await.map_err(to_status)?;
        if !is_self {
            return Err(leads(&leader.addr));
        }
        manager.dismiss(&caller.node).await.map_err(to_status)?;
        Ok(Response::new(LeaveResponse {}))
    }

    async fn probe(&self, request: Request<ProbeRequest>) -> Result<Response<ProbeResponse>, Status> {
        self.0.manager_caller(request.extensions())?;
        Ok(Response::new(ProbeResponse {
            node_id: self.0.me().to_string(),
        }))
    }

    async fn propose(&self, request: Request<ProposeRequest>) -> Result<Response<ProposeResponse>, Status> {
        self.0.manager_caller(request.extensions())?;
        let manager = self.0.manager()?;
        let proposal: Proposal = codec::decode(&request.into_inner().proposal)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        match manager.ledger.consensus().propose(&proposal).await {
            Ok(applied) => Ok(Response::new(ProposeResponse {
                index: applied.index,
                refusal: Default::default(),
            })),
            Err(ProposeError::Refused(refusal)) => Ok(Response::new(ProposeResponse {
                index: 0,
                refusal: codec::encode(&refusal)
                    .map_err(|e| Status::internal(e.to_string()))?
                    .into(),
            })),
            // The one code that says that nothing was done, so that the caller may safely ask another manager.
            Err(e @ ProposeError::NotLeader { .. }) => Err(Status::failed_precondition(e.to_string())),
            Err(other) => Err(match to_status(error::propose(&other)) {
                status if status.code() == tonic::Code::FailedPrecondition => {
                    Status::unknown(status.message())
                }
                status => status,
            }),
        }
    }

    async fn heard(&self, request: Request<HeardRequest>) -> Result<Response<HeardResponse>, Status> {
        let caller = self.0.manager_caller(request.extensions())?;
        let manager = self.0.manager()?;
        let request = request.into_inner();
        self.may_speak(&manager, &caller.node, RaftId(request.raft_id))
            .await?;
        let known = manager.ledger.state();
        let mut strangers = request.alive.clone();
        strangers.retain(|node| known.node(&NodeId::from(node.as_str())).is_none());
        let removed = match strangers.is_empty() {
            true => Vec::new(),
            // Nobody is told that it was removed on the word of a leader that may not know that it was deposed.
            false => match manager.ledger.current().await {
                Ok(current) => {
                    strangers.retain(|node| current.node(&NodeId::from(node.as_str())).is_none());
                    strangers
                }
                Err(_) => Vec::new(),
            },
        };
        for node in request.left {
            manager.pulse.left(&NodeId::from(node));
        }
        for node in request.alive {
            manager.pulse.heard(&NodeId::from(node));
        }
        for (node, index) in request.laid {
            manager.pulse.laid(&NodeId::from(node), index);
        }
        Ok(Response::new(HeardResponse {
            applied: manager.ledger.state().applied(),
            removed,
        }))
    }

    async fn poke(&self, request: Request<PokeRequest>) -> Result<Response<PokeResponse>, Status> {
        self.0.manager_caller(request.extensions())?;
        (self.0.poke)();
        Ok(Response::new(PokeResponse {}))
    }
}

impl Service {
    /// Whether the manager `caller` may speak for its agents here: this one leads with a majority behind it, and counts
    /// the caller among the members of Raft.
    async fn may_speak(&self, manager: &Manager, caller: &NodeId, raft_id: RaftId) -> Result<(), Status> {
        let leadership = manager.ledger.leadership().borrow().clone();
        if !leadership.is_self {
            let me = manager.ledger.consensus().me().id;
            return Err(match leadership.leader.filter(|leader| leader.id != me) {
                Some(leader) => leads(&leader.addr),
                None => Status::unavailable("no manager is known to lead the swarm"),
            });
        }
        if !manager.pulse.is_led() {
            return Err(Status::unavailable("this manager has lost touch with its swarm"));
        }
        let state = manager.ledger.state();
        let place = state.node(caller).and_then(|node| node.manager.as_ref());
        let members = manager.ledger.consensus().members();
        if place.is_some_and(|place| place.raft_id == raft_id) && members.iter().any(|m| m.peer.id == raft_id)
        {
            return Ok(());
        }
        match manager.ledger.current().await {
            Ok(current) if current.node(caller).is_none() => Err(removed::status(caller.as_str())),
            Ok(_) => Err(Status::permission_denied(format!(
                "node {caller} is no member of raft as {raft_id}"
            ))),
            Err(error) => Err(Status::unavailable(error.message)),
        }
    }
}

/// Metadata key under which a follower names the leader that the caller must ask itself.
pub const LEADER: &str = "shoal-leader";

fn leads(addr: &str) -> Status {
    let mut status = Status::failed_precondition(format!("manager {addr} leads the swarm, not this one"));
    if let Ok(value) = addr.parse() {
        status.metadata_mut().insert(LEADER, value);
    }
    status
}

/// Calls the leader, starting at `addr` and following whoever is named; a few times, because leaders change.
pub(crate) async fn at_leader<T, F>(
    peers: &crate::peers::Peers,
    addr: &str,
    mut call: impl FnMut(MembershipClient<tonic::transport::Channel>) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut addr = addr.to_owned();
    let mut last = Status::unavailable("no manager was asked");
    for _ in 0..5 {
        match call(MembershipClient::new(peers.channel(&addr)?)).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => {
                let leader = status.metadata().get(LEADER).and_then(|v| v.to_str().ok());
                match leader {
                    Some(leader) => addr = leader.to_owned(),
                    None => return Err(status),
                }
                last = status;
            }
        }
    }
    Err(last)
}
