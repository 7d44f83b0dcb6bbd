//! Raft's service, mounted once it is there, for managers only.

use super::Desk;
use shoal_raft_consensus::service;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

/// A manager opens its log within this.
const MOUNTING: Duration = Duration::from_secs(2);

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
        let mounted = self.0.raft.borrow().clone();
        if let Some(mut server) = mounted {
            return Box::pin(async move { server.call(request).await });
        }
        let mut mounting = self.0.raft.subscribe();
        Box::pin(async move {
            let mounted = tokio::time::timeout(MOUNTING, mounting.wait_for(Option::is_some)).await;
            let server = mounted
                .ok()
                .and_then(Result::ok)
                .and_then(|server| server.clone());
            match server {
                Some(mut server) => server.call(request).await,
                None => Ok(Status::unavailable("this manager is not ready yet").into_http()),
            }
        })
    }
}
