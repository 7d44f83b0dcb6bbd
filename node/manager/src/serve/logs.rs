//! Logs on their way from agents to whoever follows them.

use super::Desk;
use shoal_api_wire::logs::logs_server::Logs;
use shoal_api_wire::logs::{Batch, Published, SubscribeRequest};
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub struct Service(pub Arc<Desk>);

#[tonic::async_trait]
impl Logs for Service {
    type SubscribeStream = ReceiverStream<Result<Batch, Status>>;

    async fn publish(&self, request: Request<Streaming<Batch>>) -> Result<Response<Published>, Status> {
        let (caller, manager) = self.0.known_caller(request.extensions()).await?;
        manager.broker.receive(&caller.node, request.into_inner()).await?;
        Ok(Response::new(Published {}))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.0.manager_caller(request.extensions())?;
        let manager = self.0.manager()?;
        let batches = manager
            .broker
            .subscribe_here(&manager.sessions, request.into_inner());
        Ok(Response::new(batches))
    }
}
