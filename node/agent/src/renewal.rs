//! Getting the next certificate, in time or when a manager says so.

use crate::managers::Managers;
use shoal_api_wire::ca::{RenewRequest, ca_client::CaClient};
use shoal_node_drivers_certs::{Credentials, Files, Issued, Request};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

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
}

/// Renews at a random point in 50-80 % of the certificate's life, and at once when `asked`.
pub(crate) async fn keep(
    credentials: Credentials,
    files: Files,
    managers: std::sync::Arc<Managers>,
    own: tokio::sync::watch::Receiver<Option<String>>,
    asked: std::sync::Arc<Notify>,
    stop: CancellationToken,
) {
    let mut due = credentials.identity().renew_at(rand::random());
    loop {
        let left = due.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::select! {
            () = stop.cancelled() => return,
            () = asked.notified() => {}
            () = tokio::time::sleep(left.min(LOOK_MAX)) => {
                if SystemTime::now() < due {
                    continue;
                }
            }
        }
        let candidates = managers.candidates(own.borrow().clone());
        match renew(&credentials, &files, &candidates).await {
            Ok(()) => due = credentials.identity().renew_at(rand::random()),
            Err(error) => {
                tracing::warn!(%error, "cannot renew this node's certificate");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => asked.notify_one(),
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
            Err(why) => {
                last = RenewError::Manager {
                    addr: addr.clone(),
                    why,
                }
            }
        }
    }
    Err(last)
}

async fn ask(credentials: &Credentials, addr: &str, csr_pem: &str) -> Result<(String, String), String> {
    let channel = crate::session::channel(credentials, addr).map_err(|e| e.to_string())?;
    let call = CaClient::new(channel);
    let request = RenewRequest {
        csr_pem: csr_pem.to_owned(),
        on_behalf_of: String::new(),
    };
    let mut call = call;
    let answer = tokio::time::timeout(CALL_TIMEOUT, call.renew(request))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    Ok((answer.certificate_pem, answer.root_pem))
}
