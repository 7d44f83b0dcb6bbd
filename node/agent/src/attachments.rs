//! Places on the cluster's networks for containers of users' own: asked of managers, one after the other.

use crate::managers::Managers;
use shoal_api_wire::dispatcher::dispatcher_client::DispatcherClient;
use shoal_api_wire::dispatcher::{AttachRequest, DetachRequest, FindRequest};
use shoal_node_drivers_certs::Credentials;
use shoal_raft_objects::{Attached, Attachment, Network, codec};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// One manager has so long to answer; it may wait for a leader itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// Why a manager's answer is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no such network.
    #[error("{0}")]
    NotFound(String),
    /// The managers' words: it takes no containers, it has no address left.
    #[error("rpc error: code = {code} desc = {message}")]
    Refused { code: String, message: String },
    #[error("no manager answers: {0}")]
    Unreachable(String),
    #[error("a manager's answer cannot be read: {0}")]
    Unreadable(#[from] codec::Error),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    credentials: Credentials,
    managers: Arc<Managers>,
    own: watch::Receiver<Option<String>>,
}

impl Attachments {
    pub(crate) fn new(
        credentials: Credentials,
        managers: Arc<Managers>,
        own: watch::Receiver<Option<String>>,
    ) -> Self {
        Self {
            credentials,
            managers,
            own,
        }
    }

    /// A network of the cluster, by id, name or the start of its id.
    pub async fn find(&self, network: &str) -> Result<Network, CallError> {
        let request = FindRequest {
            network: network.to_owned(),
        };
        let ask = |mut client: DispatcherClient<Channel>| {
            let request = request.clone();
            async move { client.find(request).await }
        };
        Ok(codec::decode(&self.call(ask).await?.network)?)
    }

    /// A place for a container of this node; the one that it has, if it has one.
    pub async fn attach(&self, wish: &Attached) -> Result<Attachment, CallError> {
        let request = AttachRequest {
            network: wish.network.to_string(),
            container: wish.container.clone(),
            name: wish.name.clone(),
            aliases: wish.aliases.clone(),
            address: wish.address.map(|a| a.to_string()).unwrap_or_default(),
            address6: wish.address6.map(|a| a.to_string()).unwrap_or_default(),
        };
        let ask = |mut client: DispatcherClient<Channel>| {
            let request = request.clone();
            async move { client.attach(request).await }
        };
        Ok(codec::decode(&self.call(ask).await?.place)?)
    }

    /// The container's place is free again; so is one that it does not have.
    pub async fn detach(&self, network: &str, container: &str) -> Result<(), CallError> {
        let request = DetachRequest {
            network: network.to_owned(),
            container: container.to_owned(),
        };
        let ask = |mut client: DispatcherClient<Channel>| {
            let request = request.clone();
            async move { client.detach(request).await }
        };
        self.call(ask).await.map(drop)
    }

    /// What one manager says counts, unless it says that it cannot say.
    async fn call<T, F>(&self, ask: impl Fn(DispatcherClient<Channel>) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let mut last = String::from("none is known");
        let own = self.own.borrow().clone();
        for addr in self.managers.candidates(own) {
            let channel = match crate::session::channel(&self.credentials, &addr) {
                Ok(channel) => channel,
                Err(error) => {
                    last = format!("{addr}: {error}");
                    continue;
                }
            };
            match tokio::time::timeout(CALL_TIMEOUT, ask(DispatcherClient::new(channel))).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_absence(status.code()) => {
                    last = format!("{addr}: {}", status.message());
                }
                Ok(Err(status)) if status.code() == Code::NotFound => {
                    return Err(CallError::NotFound(status.message().to_owned()));
                }
                Ok(Err(status)) => {
                    return Err(CallError::Refused {
                        code: format!("{:?}", status.code()),
                        message: status.message().to_owned(),
                    });
                }
                Err(_) => last = format!("{addr} did not answer in time"),
            }
        }
        Err(CallError::Unreachable(last))
    }
}

fn is_absence(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}
