//! This node's images for other nodes of its cluster: who calls is checked here, the rest is the engine's.

use super::Desk;
use shoal_api_wire::images::images_server::Images;
use shoal_api_wire::images::{
    MeetRequest, MeetResponse, Piece, ReadRequest, ResolveRequest, ResolveResponse,
};
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

pub struct Service(pub Arc<Desk>);

impl Service {
    /// Any node of the cluster may ask. A worker does not know which certificates were revoked: it answers those nodes
    /// that the managers have named to it, and a node that was removed is not among them.
    fn allowed<T>(&self, request: &Request<T>) -> Result<(Arc<dyn crate::host::Images>, String), Status> {
        let caller = self.0.caller(request.extensions())?.node;
        let images = self
            .0
            .images
            .clone()
            .ok_or_else(|| Status::unimplemented("this node has no images to offer"))?;
        match images.knows(&caller) {
            true => Ok((images, caller.to_string())),
            false => Err(Status::permission_denied(format!(
                "node {caller} is not known here as a node of this swarm"
            ))),
        }
    }
}

#[tonic::async_trait]
impl Images for Service {
    type ReadStream = ReceiverStream<Result<Piece, Status>>;

    async fn resolve(&self, request: Request<ResolveRequest>) -> Result<Response<ResolveResponse>, Status> {
        let (images, _) = self.allowed(&request)?;
        images.resolve(request.into_inner()).await.map(Response::new)
    }

    async fn meet(&self, request: Request<MeetRequest>) -> Result<Response<MeetResponse>, Status> {
        let (images, caller) = self.allowed(&request)?;
        images
            .meet(&caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let (images, _) = self.allowed(&request)?;
        let pieces = images.read(request.into_inner()).await?;
        Ok(Response::new(ReceiverStream::new(pieces)))
    }
}
