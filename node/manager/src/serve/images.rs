//! This node's images for other nodes of its cluster: who calls is checked here, the rest is the engine's.

use super::Desk;
use crate::host::BlobPieces;
use shoal_api_wire::images::images_server::{Images, ImagesServer};
use shoal_api_wire::images::{MeetRequest, MeetResponse, ReadRequest, ResolveRequest, ResolveResponse};
use shoal_api_wire::pieces;
use shoal_node_drivers_certs::Peer;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Extensions, Request, Response, Status};

/// The service as it is mounted: blobs go past the codec of the other calls.
#[derive(Clone)]
pub struct Door {
    service: Service,
    others: ImagesServer<Service>,
}

impl Door {
    pub fn new(desk: Arc<Desk>) -> Self {
        let service = Service(desk);
        Self {
            others: ImagesServer::new(service.clone()),
            service,
        }
    }
}

impl NamedService for Door {
    const NAME: &'static str = <ImagesServer<Service> as NamedService>::NAME;
}

impl tower::Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != pieces::PATH {
            return Box::pin(self.others.call(request));
        }
        let service = self.service.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let mut asked = Request::new(body);
            if let Some(peer) = head.extensions.get::<Peer>() {
                asked.extensions_mut().insert(peer.clone());
            }
            Ok(match service.blob(asked).await {
                Ok(blob) => pieces::answer(blob),
                Err(status) => status.into_http(),
            })
        })
    }
}

#[derive(Clone)]
pub struct Service(Arc<Desk>);

impl Service {
    /// Any node of the cluster may ask. A worker does not know which certificates were revoked: it answers those nodes
    /// that the managers have named to it, and a node that was removed is not among them.
    fn allowed(&self, extensions: &Extensions) -> Result<(Arc<dyn crate::host::Images>, String), Status> {
        let caller = self.0.caller(extensions)?.node;
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

    async fn blob(&self, request: Request<Body>) -> Result<BlobPieces, Status> {
        let (images, _) = self.allowed(request.extensions())?;
        images.read(pieces::request(request.into_inner()).await?).await
    }
}

#[tonic::async_trait]
impl Images for Service {
    type ReadStream = BlobPieces;

    async fn resolve(&self, request: Request<ResolveRequest>) -> Result<Response<ResolveResponse>, Status> {
        let (images, _) = self.allowed(request.extensions())?;
        images.resolve(request.into_inner()).await.map(Response::new)
    }

    async fn meet(&self, request: Request<MeetRequest>) -> Result<Response<MeetResponse>, Status> {
        let (images, caller) = self.allowed(request.extensions())?;
        images
            .meet(&caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let (images, _) = self.allowed(request.extensions())?;
        images.read(request.into_inner()).await.map(Response::new)
    }
}
