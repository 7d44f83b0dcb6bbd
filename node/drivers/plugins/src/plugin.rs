//! A plugin that was found and asked what it implements.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::connect;
use crate::error::{Error, Result};

/// Docker's version of the protocol.
const MIME: &str = "application/vnd.docker.plugins.v1.2+json";
/// While a plugin is being started its socket may refuse for a moment.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a call may take, and whether one that reached nobody is tried again within that time. A request that was
/// sent is never sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub limit: Duration,
    pub again: bool,
}

impl Default for Call {
    /// Docker's short limit.
    fn default() -> Call {
        Call {
            limit: Duration::from_secs(60),
            again: true,
        }
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plugin {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    address: Address,
    implements: Vec<String>,
}

#[derive(Deserialize)]
struct Activated {
    #[serde(rename = "Implements", default)]
    implements: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Trouble {
    #[serde(rename = "Err")]
    err: String,
}

impl Plugin {
    /// Asks what it implements.
    pub(crate) async fn activate(name: &str, address: Address, call: Call) -> Result<Plugin> {
        let asked = Plugin {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                address: address.clone(),
                implements: Vec::new(),
            }),
        };
        let answer: Activated = asked
            .call("Plugin.Activate", &serde_json::json!({}), call)
            .await?;
        Ok(Plugin {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                address,
                implements: answer.implements.unwrap_or_default(),
            }),
        })
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub fn address(&self) -> &Address {
        &self.inner.address
    }

    /// `VolumeDriver`, `authz`, …
    pub fn implements(&self, interface: &str) -> bool {
        self.inner.implements.iter().any(|i| i == interface)
    }

    /// Calls `method` (`VolumeDriver.Create`). An `Err` in an answer of status 200 is for the caller to look at.
    pub async fn call<Q, A>(&self, method: &str, request: &Q, call: Call) -> Result<A>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let body = serde_json::to_vec(request).map_err(|e| self.answer(method, e))?;
        let body = Bytes::from(body);
        let asked = tokio::time::timeout(call.limit, self.send(method, body, call.again)).await;
        let timed_out = || Error::TimedOut {
            name: self.inner.name.clone(),
            method: method.to_owned(),
            limit: call.limit,
        };
        let answer = asked.map_err(|_| timed_out())??;
        let status = answer.status().as_u16();
        let body = answer.into_body();
        if status != 200 {
            let message = match serde_json::from_slice::<Trouble>(&body) {
                Ok(trouble) if !trouble.err.is_empty() => trouble.err,
                _ => String::from_utf8_lossy(&body[..body.len().min(4096)])
                    .trim()
                    .to_owned(),
            };
            return Err(Error::Refused {
                method: method.to_owned(),
                status,
                message,
            });
        }
        serde_json::from_slice(&body).map_err(|e| self.answer(method, e))
    }

    async fn send(&self, method: &str, body: Bytes, again: bool) -> Result<http::Response<Bytes>> {
        let inner = &self.inner;
        let unreachable = |why: String| Error::Unreachable {
            name: inner.name.clone(),
            address: inner.address.to_string(),
            why,
        };
        let stream = loop {
            match connect::open(&inner.address).await {
                Ok(stream) => break stream,
                Err(why) if !again => return Err(unreachable(why)),
                Err(why) => {
                    tracing::debug!(plugin = inner.name, why, "a plugin is not there yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let host = match &inner.address {
            Address::Unix(_) => "plugin",
            Address::Tcp(host) | Address::Tls(host, _) => host,
        };
        let request = Request::post(format!("/{method}"))
            .header("Host", host)
            .header("Accept", MIME)
            .header("Content-Type", "application/json")
            .body(Full::new(body))
            .map_err(|e| unreachable(e.to_string()))?;
        connect::exchange(stream, request).await.map_err(unreachable)
    }

    fn answer(&self, method: &str, why: serde_json::Error) -> Error {
        Error::Answer {
            name: self.inner.name.clone(),
            method: method.to_owned(),
            why: why.to_string(),
        }
    }
}
