//! Raft's service, mounted once it is there, for managers only.

use super::Desk;
use shoal_raft_consensus::service;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

pub type Server = shoal_api_wire::raft::raft_server::RaftServer<service::Service>;

#[derive(Clone)]
pub struct Late(pub Arc<Desk>);

impl NamedService for Late {
    const NAME: &'static str = <Server as NamedService>::NAME;
}

impl tower::Service<http::Request<Body>> for Late {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let refusal = |status: Status| -> Self::Future { Box::pin(async move { Ok(status.into_http()) }) };
        // A replica that lags behind must not judge a newer manager's role by what it knows: the certificate and the
        // list of revoked ones, which only grows, are enough.
        let peer = request
            .extensions()
            .get::<shoal_node_drivers_certs::Peer>()
            .cloned();
        let mut extensions = tonic::Extensions::new();
        if let Some(peer) = peer {
            extensions.insert(peer);
        }
        if let Err(status) = self.0.manager_caller(&extensions) {
            return refusal(status);
        }
        match self.0.raft.read().clone() {
            Some(mut server) => Box::pin(async move { server.call(request).await }),
            None => refusal(Status::unavailable("this manager is not ready yet")),
        }
    }
}
