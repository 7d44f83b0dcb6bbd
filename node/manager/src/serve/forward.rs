//! Clients' connections that another node passes on.

use super::{Desk, to_status};
use crate::control::convert::node::role;
use shoal_api_wire::forward::Chunk;
use shoal_api_wire::forward::forward_server::Forward;
use shoal_api_wire::tunnel::{self, Answer, RELAYED};
use shoal_raft_objects::Role;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

pub struct Service(pub Arc<Desk>);

#[tonic::async_trait]
impl Forward for Service {
    type TunnelStream = Answer;

    async fn tunnel(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Answer>, Status> {
        let (caller, manager) = self.0.known_caller(request.extensions()).await?;
        let relayed = request.metadata().contains_key(RELAYED);
        if caller.role == Role::Worker {
            let state = manager.ledger.state();
            if relayed || !state.cluster().is_some_and(|c| c.spec.worker_forwarding) {
                return Err(Status::permission_denied(format!(
                    "a {} may not pass on its clients' calls in this swarm",
                    role(caller.role)
                )));
            }
        }
        if relayed {
            // Passed on once already: it is answered here, whoever leads now.
            let (near, answer) = tunnel::accept(request.into_inner());
            manager.serve_http(Box::new(near));
            return Ok(Response::new(answer));
        }
        let (leader, is_self) = manager.ledger.leader().await.map_err(to_status)?;
        if is_self {
            let (near, answer) = tunnel::accept(request.into_inner());
            manager.serve_http(Box::new(near));
            return Ok(Response::new(answer));
        }
        let mut far = tunnel::open(manager.ledger.peers.channel(&leader.addr)?, true).await?;
        let (mut near, answer) = tunnel::accept(request.into_inner());
        let stop = manager.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // Either side going away ends the other; there is nobody to tell.
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            }
        });
        Ok(Response::new(answer))
    }
}
