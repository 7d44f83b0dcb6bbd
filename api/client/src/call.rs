//! One call: request, answer, errors in the engine's words.

use crate::connect::connect;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_api_types::message::ErrorResponse;
use shoal_api_types::{API_VERSION, Filters};
use std::sync::Arc;
use tokio::sync::OnceCell;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A client of one engine; cheap to clone.
#[derive(Clone)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    /// As in the path, `1.51`; negotiated at the first call unless it was given.
    version: Arc<OnceCell<String>>,
    user_agent: Arc<str>,
}

/// Query parameters in the making.
#[derive(Debug, Clone, Default)]
pub struct Query(String);

impl Query {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn text(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(key);
        self.0.push('=');
        encode_into(&mut self.0, value.as_ref(), b"-._~");
        self
    }
    /// Left out when None.
    pub fn optional(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.text(key, value.to_string()),
            None => self,
        }
    }
    /// Left out when false.
    pub fn flag(self, key: &str, value: bool) -> Self {
        if value { self.text(key, "1") } else { self }
    }
    /// Left out when empty.
    pub fn filters(self, filters: &Filters) -> Self {
        if filters.is_empty() {
            return self;
        }
        let json = serde_json::to_string(filters).unwrap_or_default();
        self.text("filters", json)
    }
}

/// A path segment from a name or id; slashes stay, image names have them.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    encode_into(&mut out, text, b"-._~/:@");
    out
}

fn encode_into(out: &mut String, text: &str, also: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || also.contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

impl Client {
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint: Arc::new(endpoint),
            version: Arc::new(OnceCell::new()),
            user_agent: concat!("shoal/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// Speaks this version instead of negotiating (`DOCKER_API_VERSION`).
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = Arc::new(OnceCell::new_with(Some(version.into())));
        self
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The version spoken: the older of the engine's and ours.
    pub async fn version_spoken(&self) -> Result<&str> {
        let version = self.version.get_or_try_init(|| async {
            let response = self
                .exchange(Method::GET, "/_ping".into(), Vec::new(), None)
                .await?;
            let theirs = response
                .headers()
                .get("api-version")
                .and_then(|value| value.to_str().ok());
            Ok::<_, Error>(older(theirs.unwrap_or(API_VERSION), API_VERSION).to_owned())
        });
        Ok(version.await?.as_str())
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, query: Query) -> Result<T> {
        self.read(Method::GET, path, query, None).await
    }

    pub(crate) async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        body: &B,
    ) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(Error::Encode)?;
        self.read(Method::POST, path, query, Some(body)).await
    }

    /// A call whose answer says nothing.
    pub(crate) async fn order(&self, method: Method, path: &str, query: Query) -> Result<()> {
        self.send(method, path, query, Vec::new(), None).await.map(drop)
    }

    pub(crate) async fn order_json<B: Serialize + ?Sized>(
        &self,
        path: &str,
        query: Query,
        body: &B,
    ) -> Result<()> {
        let body = serde_json::to_vec(body).map_err(Error::Encode)?;
        self.send(Method::POST, path, query, Vec::new(), Some(json(body)))
            .await
            .map(drop)
    }

    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: Query,
        body: Option<Vec<u8>>,
    ) -> Result<T> {
        let call = format!("{method} {path}");
        let response = self.send(method, path, query, Vec::new(), body.map(json)).await?;
        let bytes = response.into_body().collect().await?.to_bytes();
        shoal_api_types::decode(&bytes).map_err(|reason| Error::Decode { call, reason })
    }

    /// The answer with its body unread; an error status is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: Query,
        headers: Vec<(&'static str, String)>,
        body: Option<Payload>,
    ) -> Result<Response<Incoming>> {
        let target = format!("/v{}{path}{}", self.version_spoken().await?, query.0);
        let response = self.exchange(method, target, headers, body).await?;
        checked(response).await
    }

    async fn exchange(
        &self,
        method: Method,
        target: String,
        headers: Vec<(&'static str, String)>,
        body: Option<Payload>,
    ) -> Result<Response<Incoming>> {
        let (mut sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(connect(&self.endpoint).await?))
            .await?;
        // Ends with the answer's body, or becomes a taken-over connection.
        tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        let request = self.request(method, target, headers, body)?;
        Ok(sender.send_request(request).await?)
    }

    fn request(
        &self,
        method: Method,
        target: String,
        headers: Vec<(&'static str, String)>,
        body: Option<Payload>,
    ) -> Result<Request<Body>> {
        let host = match &*self.endpoint {
            Endpoint::Tcp { address, .. } => address.clone(),
            _ => "api.moby.localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, host)
            .header(header::USER_AGENT, &*self.user_agent);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = match body {
            None => Empty::new().map_err(|never| match never {}).boxed(),
            Some(Payload { kind, body }) => {
                request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(kind));
                body
            }
        };
        Ok(request.body(body)?)
    }
}

/// What is sent along.
pub(crate) struct Payload {
    kind: &'static str,
    body: Body,
}

pub(crate) fn json(bytes: Vec<u8>) -> Payload {
    Payload {
        kind: "application/json",
        body: Full::from(bytes).map_err(|never| match never {}).boxed(),
    }
}

/// A tar, as it comes.
pub(crate) fn tar(chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + Sync + 'static) -> Payload {
    use futures_util::StreamExt;
    let frames = chunks.map(|chunk| chunk.map(Frame::data));
    Payload {
        kind: "application/x-tar",
        body: BodyExt::boxed(StreamBody::new(frames)),
    }
}

async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>> {
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS || status == StatusCode::NOT_MODIFIED
    {
        return Ok(response);
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    let message = serde_json::from_slice::<ErrorResponse>(&bytes)
        .map(|error| error.message)
        .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).trim().to_owned());
    let message = if message.is_empty() {
        status.to_string()
    } else {
        message
    };
    Err(Error::Api { status, message })
}

fn older<'a>(a: &'a str, b: &'a str) -> &'a str {
    let parts = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    match (parts(a), parts(b)) {
        (Some(first), Some(second)) if first < second => a,
        _ => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let mut filters = Filters::new();
        filters.add("label", "a=b c");
        let query = Query::new()
            .flag("all", true)
            .flag("size", false)
            .optional("limit", None::<u8>)
            .filters(&filters);
        assert_eq!(
            query.0,
            "?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%20c%22%5D%7D"
        );
        assert_eq!(segment("a/b:1@sha256:x?#%"), "a/b:1@sha256:x%3F%23%25");
    }

    #[test]
    fn the_older_version_is_spoken() {
        assert_eq!(older("1.41", "1.55"), "1.41");
        assert_eq!(older("1.9", "1.55"), "1.9");
        assert_eq!(older("1.60", "1.55"), "1.55");
    }
}
