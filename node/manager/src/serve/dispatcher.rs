//! Agents' sessions.

use super::Desk;
use crate::dispatch::session;
use shoal_api_wire::dispatcher::dispatcher_server::Dispatcher;
use shoal_api_wire::dispatcher::{FromAgent, FromManager};
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
}
