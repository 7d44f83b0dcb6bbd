//! Connections taken over by attach and exec.

use crate::call::{Client, Query, json};
use crate::error::{Error, Result};
use http::{Method, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};

/// Both directions of a process. Reading yields its output, writing is its stdin, `shutdown()` closes stdin only.
pub struct Hijacked {
    /// Whether the output is Docker's frames, as far as the engine says (since API 1.42); None when it does not.
    pub multiplexed: Option<bool>,
    io: TokioIo<Upgraded>,
}

impl Hijacked {
    pub fn into_io(self) -> impl AsyncRead + AsyncWrite + Send + Unpin {
        self.io
    }
}

impl Client {
    pub(crate) async fn hijack<B: Serialize>(
        &self,
        path: &str,
        query: Query,
        body: Option<&B>,
    ) -> Result<Hijacked> {
        let upgrade = vec![
            ("connection", "Upgrade".to_owned()),
            ("upgrade", "tcp".to_owned()),
        ];
        let body = body
            .map(|body| serde_json::to_vec(body).map(json))
            .transpose()
            .map_err(Error::Encode)?;
        let response = self.send(Method::POST, path, query, upgrade, body).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::NotUpgraded {
                call: format!("POST {path}"),
                status: response.status(),
            });
        }
        let multiplexed = match response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
        {
            Some("application/vnd.docker.multiplexed-stream") => Some(true),
            Some("application/vnd.docker.raw-stream") if self.speaks_at_least(42).await? => Some(false),
            _ => None,
        };
        Ok(Hijacked {
            multiplexed,
            io: TokioIo::new(hyper::upgrade::on(response).await?),
        })
    }

    async fn speaks_at_least(&self, minor: u32) -> Result<bool> {
        let spoken = self.version_spoken().await?;
        Ok(spoken
            .split_once('.')
            .and_then(|(_, text)| text.parse::<u32>().ok())
            .is_some_and(|spoken| spoken >= minor))
    }
}
