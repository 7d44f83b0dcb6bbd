//! Calls: one connection each, so that a taken-over or long stream never stands in another call's way.

use crate::connect::{Connector, Duplex};
use crate::error::{Error, Result};
use crate::target::Target;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

/// The newest API that this client speaks.
const API_MAX: (u32, u32) = (1, 55);
/// An error's body is a sentence; whatever is longer is cut.
const ERROR_BYTES_MAX: usize = 64 << 10;

/// How the daemon knows us.
const AGENT: &str = concat!("shoal/", env!("CARGO_PKG_VERSION"));

/// What a request carries.
pub enum Body {
    Empty,
    Json(Vec<u8>),
    Tar(Box<dyn AsyncRead + Send + Sync + Unpin>),
}

impl Body {
    pub fn json(value: &impl Serialize) -> Result<Body> {
        Ok(Body::Json(serde_json::to_vec(value)?))
    }
}

#[derive(Clone)]
pub struct Client {
    connector: Connector,
    target: Target,
    version: String,
}

impl Client {
    /// Reads certificates; connects only when something is asked. Speaks the newest API until [`Client::negotiate`].
    pub fn new(target: Target) -> Result<Client> {
        let connector = Connector::new(target.clone())?;
        Ok(Client {
            connector,
            target,
            version: format!("{}.{}", API_MAX.0, API_MAX.1),
        })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Speaks no newer API than `1.minor`: where a newer one says less.
    pub fn at_most(&mut self, minor: u32) {
        let spoken = self
            .version
            .split_once('.')
            .and_then(|(_, m)| m.parse::<u32>().ok());
        if spoken.is_some_and(|m| m > minor) {
            self.version = format!("1.{minor}");
        }
    }

    /// Takes the daemon's version if it is older. Returns the headers of `_ping`.
    pub async fn negotiate(&mut self) -> Result<HeaderMap> {
        let response = self
            .send(Method::HEAD, "/_ping", Body::Empty, HeaderMap::new(), false)
            .await?;
        if let Some(theirs) = response
            .headers()
            .get("api-version")
            .and_then(|v| v.to_str().ok())
        {
            let parsed = theirs
                .split_once('.')
                .and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
            if parsed.is_some_and(|v| v < API_MAX) {
                self.version = theirs.to_owned();
            }
        }
        Ok(response.headers().clone())
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(Method::GET, path, Body::Empty).await
    }

    /// A call whose answer is JSON.
    pub async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Result<T> {
        self.json_with(method, path, body, HeaderMap::new()).await
    }

    pub async fn json_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: HeaderMap,
    ) -> Result<T> {
        let response = self.call(method, path, body, headers).await?;
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// A call whose answer does not matter beyond success. 304 is success: it was so already.
    pub async fn plain(&self, method: Method, path: &str, body: Body) -> Result<()> {
        let response = self.call(method, path, body, HeaderMap::new()).await?;
        response.into_body().collect().await?;
        Ok(())
    }

    /// A call whose answer is a stream of bytes, and the answer's headers.
    pub async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: HeaderMap,
    ) -> Result<(
        HeaderMap,
        impl Stream<Item = Result<Bytes>> + Send + Unpin + use<>,
    )> {
        let response = self.call(method, path, body, headers).await?;
        let (parts, body) = response.into_parts();
        let frames = body.into_data_stream().map_err(Error::from);
        Ok((parts.headers, Box::pin(frames)))
    }

    /// A call whose answer is one JSON document a line (events, progress).
    pub async fn lines<T: DeserializeOwned + Send + 'static>(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: HeaderMap,
    ) -> Result<impl Stream<Item = Result<T>> + Send + Unpin + use<T>> {
        let (_, bytes) = self.stream(method, path, body, headers).await?;
        let lines = stream::try_unfold((bytes, Vec::<u8>::new()), |(mut bytes, mut held)| async move {
            loop {
                if let Some(end) = held.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    return Ok::<_, Error>(Some((serde_json::from_slice(&line)?, (bytes, held))));
                }
                match bytes.next().await {
                    Some(chunk) => held.extend_from_slice(&chunk?),
                    None if held.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                    None => held.push(b'\n'),
                }
            }
        });
        Ok(Box::pin(lines))
    }

    /// Takes the connection over (attach, exec). Returns whether the stream is raw (a terminal) by the answer's type.
    pub async fn hijack(&self, path: &str, body: Body) -> Result<(bool, Box<dyn Duplex>)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        let response = self
            .send(Method::POST, &self.versioned(path), body, headers, true)
            .await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Self::refused(response).await);
        }
        let raw = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes() == b"application/vnd.docker.raw-stream");
        let upgraded = hyper::upgrade::on(response).await?;
        Ok((raw, Box::new(TokioIo::new(upgraded))))
    }

    /// The bare connection, for `system dial-stdio`.
    pub async fn dial(&self) -> Result<Box<dyn Duplex>> {
        self.connector.open().await
    }

    fn versioned(&self, path: &str) -> String {
        format!("/v{}{path}", self.version)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>> {
        let response = self
            .send(method, &self.versioned(path), body, headers, false)
            .await?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            Ok(response)
        } else {
            Err(Self::refused(response).await)
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        headers: HeaderMap,
        upgrades: bool,
    ) -> Result<Response<Incoming>> {
        let stream = self.connector.open().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The connection lives as long as its one answer; its errors surface in the answer's body.
        if upgrades {
            tokio::spawn(connection.with_upgrades());
        } else {
            tokio::spawn(connection);
        }
        let mut request = Request::builder().method(method).uri(path).header(HOST, "docker");
        if let Some(all) = request.headers_mut() {
            all.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            all.extend(headers);
            match &body {
                Body::Json(_) => {
                    all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                }
                Body::Tar(_) => {
                    all.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
                }
                Body::Empty => {}
            }
        }
        let body: BoxBody<Bytes, std::io::Error> = match body {
            Body::Empty => Full::new(Bytes::new()).map_err(|never| match never {}).boxed(),
            Body::Json(bytes) => Full::new(Bytes::from(bytes))
                .map_err(|never| match never {})
                .boxed(),
            Body::Tar(reader) => BodyExt::boxed(StreamBody::new(
                ReaderStream::with_capacity(reader, 256 << 10).map_ok(Frame::data),
            )),
        };
        let request = request
            .body(body)
            .map_err(|e| Error::Target(format!("request {path}: {e}")))?;
        Ok(sender.send_request(request).await?)
    }

    async fn refused(response: Response<Incoming>) -> Error {
        let status = response.status().as_u16();
        let bytes = http_body_util::Limited::new(response.into_body(), ERROR_BYTES_MAX)
            .collect()
            .await
            .map(|b| b.to_bytes())
            .unwrap_or_default();
        let message = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|v| v["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
        Error::Daemon { status, message }
    }
}

/// A path with its query, values escaped; pairs with an empty value are left out.
pub fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    let mut mark = '?';
    for (key, value) in pairs.iter().filter(|(_, v)| !v.is_empty()) {
        out.push(mark);
        mark = '&';
        out.push_str(key);
        out.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn queries_are_escaped() {
        assert_eq!(
            super::query("/x", &[("a", "b c"), ("n", ""), ("f", "{\"k\"}")]),
            "/x?a=b%20c&f=%7B%22k%22%7D"
        );
        assert_eq!(super::query("/x", &[]), "/x");
    }
}
