//! Agents' sessions, and what nodes ask for beside them.

use super::{Desk, to_status};
use crate::control::{Control, Wish};
use crate::dispatch::session;
use shoal_api_wire::dispatcher::dispatcher_server::Dispatcher;
use shoal_api_wire::dispatcher::{
    AttachRequest, AttachResponse, DetachRequest, DetachResponse, FindRequest, FindResponse, FromAgent,
    FromManager,
};
use shoal_raft_objects::codec;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Messages to one agent under way.
const QUEUE: usize = 16;

pub struct Service(pub Arc<Desk>);

#[tonic::async_trait]
impl Dispatcher for Service {
    type SessionStream = ReceiverStream<Result<FromManager, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        // A session is always that of the node that the certificate names.
        let (caller, manager) = self.0.known_caller(request.extensions()).await?;
        let addr = Desk::addr(request.extensions())
            .map(|a| a.ip().to_string())
            .unwrap_or_default();
        let (out, messages) = mpsc::channel(QUEUE);
        tokio::spawn(session::run(manager, caller, addr, request.into_inner(), out));
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn find(&self, request: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        let (_, manager) = self.0.known_caller(request.extensions()).await?;
        let asked = request.into_inner().network;
        let network = Control { manager }.find(&asked).await.map_err(to_status)?;
        Ok(Response::new(FindResponse {
            network: encoded(network.as_ref())?,
        }))
    }

    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<AttachResponse>, Status> {
        // A node has places for its own containers only: it is the one that the certificate names.
        let (caller, manager) = self.0.known_caller(request.extensions()).await?;
        let request = request.into_inner();
        let wish = Wish {
            network: request.network.into(),
            container: request.container,
            name: request.name,
            aliases: request.aliases,
            address: address(4, &request.address)?,
            address6: address(6, &request.address6)?,
        };
        let place = Control { manager }
            .attach(&caller.node, wish)
            .await
            .map_err(to_status)?;
        Ok(Response::new(AttachResponse {
            place: encoded(&place)?,
        }))
    }

    async fn detach(&self, request: Request<DetachRequest>) -> Result<Response<DetachResponse>, Status> {
        let (caller, manager) = self.0.known_caller(request.extensions()).await?;
        let request = request.into_inner();
        let control = Control { manager };
        control
            .detach(&caller.node, &request.network.into(), &request.container)
            .await
            .map_err(to_status)?;
        Ok(Response::new(DetachResponse {}))
    }
}

/// Empty is none.
fn address<A: std::str::FromStr>(family: u8, text: &str) -> Result<Option<A>, Status> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Status::invalid_argument(format!("invalid IPv{family} address: {text}"))),
    }
}

fn encoded<T: serde::Serialize>(value: &T) -> Result<bytes::Bytes, Status> {
    codec::encode(value)
        .map(Into::into)
        .map_err(|e| Status::internal(e.to_string()))
}
