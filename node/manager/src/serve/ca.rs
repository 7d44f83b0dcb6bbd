//! Certificates for those who may have them.

use super::{Desk, to_status};
use crate::authority::{self, Granted};
use crate::control::convert::node::{availability_from, role};
use shoal_api_wire::ca::ca_client::CaClient;
use shoal_api_wire::ca::ca_server::Ca;
use shoal_api_wire::ca::{IssueRequest, IssueResponse, RenewRequest, RootRequest, RootResponse};
use shoal_api_wire::removed;
use shoal_raft_objects::{NodeDescription, NodeId, Role, codec};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub struct Service(pub Arc<Desk>);

#[tonic::async_trait]
impl Ca for Service {
    async fn root(&self, _: Request<RootRequest>) -> Result<Response<RootResponse>, Status> {
        Ok(Response::new(RootResponse {
            root_pem: self.0.credentials.root_pem(),
        }))
    }

    async fn issue(&self, request: Request<IssueRequest>) -> Result<Response<IssueResponse>, Status> {
        let manager = self.0.manager()?;
        let addr = Desk::addr(request.extensions());
        let request = request.into_inner();
        let (leader, is_self) = manager.ledger.leader().await.map_err(to_status)?;
        if !is_self {
            let channel = manager.ledger.peers.channel(&leader.addr)?;
            return CaClient::new(channel).issue(request).await;
        }
        let availability = availability_from(&request.availability).map_err(to_status)?;
        let description: NodeDescription = if request.description.is_empty() {
            NodeDescription::default()
        } else {
            codec::decode(&request.description).map_err(|e| Status::invalid_argument(e.to_string()))?
        };
        let granted = authority::admit(
            &manager.ledger,
            &request.csr_pem,
            &request.token,
            availability,
            description,
            addr.map(|a| a.ip().to_string()).unwrap_or_default(),
        )
        .await
        .map_err(to_status)?;
        Ok(Response::new(answer(granted, manager.addrs())))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<IssueResponse>, Status> {
        // A node that was demoted still shows its manager's certificate, which is revoked: it may fetch the next one
        // with it, and nothing else. A node that was removed may not even that.
        let caller = self.0.named(request.extensions())?;
        let manager = self.0.manager()?;
        let mut request = request.into_inner();
        let node = if request.on_behalf_of.is_empty() {
            caller.node
        } else if caller.role == Role::Manager && !self.0.is_revoked(&caller) {
            NodeId::from(request.on_behalf_of.as_str())
        } else {
            return Err(Status::permission_denied(
                "only a manager may ask on behalf of another node",
            ));
        };
        let (leader, is_self) = manager.ledger.leader().await.map_err(to_status)?;
        if !is_self {
            request.on_behalf_of = node.to_string();
            let channel = manager.ledger.peers.channel(&leader.addr)?;
            return CaClient::new(channel).renew(request).await;
        }
        match authority::renew(&manager.ledger, &request.csr_pem, &node).await {
            Ok(Some(granted)) => Ok(Response::new(answer(granted, manager.addrs()))),
            Ok(None) => Err(removed::status(node.as_str())),
            Err(error) => Err(to_status(error)),
        }
    }
}

fn answer(granted: Granted, managers: Vec<String>) -> IssueResponse {
    IssueResponse {
        certificate_pem: granted.certificate_pem,
        root_pem: granted.root_pem,
        node_id: granted.node.to_string(),
        cluster_id: granted.cluster.id.to_string(),
        role: role(granted.role).to_owned(),
        managers,
    }
}
