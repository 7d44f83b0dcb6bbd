//! Getting the next certificate, in time or when a manager says so.

use crate::managers::Managers;
use shoal_api_wire::ca::{RenewRequest, ca_client::CaClient};
use shoal_api_wire::removed;
use shoal_node_drivers_certs::{Credentials, Files, Issued, Request};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// One manager has so long to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Between tries, when no manager would renew.
const RETRY: Duration = Duration::from_secs(5);
/// A renewal that waits for a far day still looks at the clock now and then: clocks jump.
const LOOK_MAX: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    #[error(transparent)]
    Certificate(#[from] shoal_node_drivers_certs::Error),
    #[error("manager {addr} did not renew the certificate: {why}")]
    Manager { addr: String, why: String },
    #[error("no manager is known")]
    NoManager,
    /// No certificate will ever be given: the node is not part of the cluster any more.
    #[error("{0}")]
    Removed(String),
}

pub(crate) struct Renewal {
    pub credentials: Credentials,
    pub files: Files,
    pub managers: Arc<Managers>,
    pub own: watch::Receiver<Option<String>>,
    pub asked: Arc<Notify>,
    pub removed: watch::Sender<Option<String>>,
    pub stop: CancellationToken,
}

impl Renewal {
    /// Renews at a random point in 50-80 % of the certificate's life, and at once when `asked`.
    pub async fn keep(self) {
        let mut due = self.credentials.identity().renew_at(rand::random());
        loop {
            let left = due.duration_since(SystemTime::now()).unwrap_or_default();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.asked.notified() => {}
                () = tokio::time::sleep(left.min(LOOK_MAX)) => {
                    if SystemTime::now() < due {
                        continue;
                    }
                }
            }
            let candidates = self.managers.candidates(self.own.borrow().clone());
            match renew(&self.credentials, &self.files, &candidates).await {
                Ok(()) => due = self.credentials.identity().renew_at(rand::random()),
                Err(RenewError::Removed(why)) => {
                    self.removed.send_replace(Some(why));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot renew this node's certificate");
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY) => self.asked.notify_one(),
                    }
                }
            }
        }
    }
}

async fn renew(credentials: &Credentials, files: &Files, managers: &[String]) -> Result<(), RenewError> {
    let request = Request::new()?;
    let mut last = RenewError::NoManager;
    for addr in managers {
        match ask(credentials, addr, &request.csr_pem).await {
            Ok((certificate_pem, root_pem)) => {
                let issued = Issued {
                    certificate_pem,
                    key_pem: request.key_pem,
                    root_pem,
                };
                // In force first: a full disk must not cost a node its renewed identity while it runs.
                credentials.replace(&issued)?;
                let files = files.clone();
                let saved = tokio::task::spawn_blocking(move || files.save(&issued)).await;
                return match saved {
                    Ok(saved) => Ok(saved?),
                    Err(error) => Err(RenewError::Manager {
                        addr: addr.clone(),
                        why: error.to_string(),
                    }),
                };
            }
            Err(status) if removed::is(&status) => {
                return Err(RenewError::Removed(status.message().to_owned()));
            }
            Err(status) => {
                last = RenewError::Manager {
                    addr: addr.clone(),
                    why: status.message().to_owned(),
                }
            }
        }
    }
    Err(last)
}

async fn ask(credentials: &Credentials, addr: &str, csr_pem: &str) -> Result<(String, String), Status> {
    let unreachable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel = crate::session::channel(credentials, addr).map_err(unreachable)?;
    let mut client = CaClient::new(channel);
    let request = RenewRequest {
        csr_pem: csr_pem.to_owned(),
        on_behalf_of: String::new(),
    };
    let answer = tokio::time::timeout(CALL_TIMEOUT, client.renew(request))
        .await
        .map_err(|_| Status::deadline_exceeded("no answer"))??
        .into_inner();
    Ok((answer.certificate_pem, answer.root_pem))
}
