//! A cluster call on its way to a manager: the request itself is replayed as HTTP/1.1 over a connection to that manager, and
//! the answer relayed as it comes, streams and upgrades included, so that a client cannot tell.

use crate::connection::Origin;
use crate::reply;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use shoal_api_backend::{ApiVersion, Duplex, Error};
use std::time::Duration;

/// Marks a request that was passed on; for people who read traces. What counts is the connection it came on.
const FORWARDED: &str = "x-shoal-forwarded";

/// What a manager has to answer to [`ask`].
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Whether a call is about the cluster rather than this daemon. The path has no version any more.
pub(crate) fn is_cluster_call(method: &Method, path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("swarm", None) => method == Method::GET,
        ("swarm", Some("update" | "unlockkey" | "networks" | "doctor")) => true,
        ("nodes" | "services" | "tasks" | "secrets" | "configs", _) => true,
        _ => false,
    }
}

/// Asks a manager over `duplex` for what this daemon itself has to know to answer its client. Answers the body; a refusal
/// is an error in the manager's words.
pub async fn ask(
    duplex: Box<dyn Duplex>,
    method: Method,
    path: &str,
    body: Option<&impl serde::Serialize>,
) -> Result<bytes::Bytes, Error> {
    let unreachable = |reason: String| {
        Error::unavailable(format!(
            "rpc error: code = Unavailable desc = could not reach a manager of the swarm: {reason}"
        ))
    };
    let (mut sender, connection) = http1::Builder::new()
        .handshake(TokioIo::new(duplex))
        .await
        .map_err(|e| unreachable(e.to_string()))?;
    tokio::spawn(connection);
    let content = match body {
        Some(body) => serde_json::to_vec(body).map_err(|e| Error::system(e.to_string()))?,
        None => Vec::new(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONTENT_TYPE, "application/json")
        .header(FORWARDED, "1")
        .body(Body::from(content))
        .map_err(|e| Error::system(e.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = http_body_util::BodyExt::collect(body)
            .await
            .map_err(|e| e.to_string())?;
        Ok::<_, String>((status, body.to_bytes()))
    };
    let (status, body) = tokio::time::timeout(ANSWER_PATIENCE, answer)
        .await
        .map_err(|_| unreachable("no answer in time".into()))?
        .map_err(unreachable)?;
    if status.is_success() {
        return Ok(body);
    }
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = said["message"].as_str().unwrap_or("refused without a word");
    Err(Error::new(reply::class_of(status), message))
}

/// Replays the request over `duplex` and relays the answer.
pub(crate) async fn replay(mut request: Request<Body>, duplex: Box<dyn Duplex>, origin: &Origin) -> Response {
    let client_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let version = request.extensions().get::<ApiVersion>().copied();
    if let Err(reason) = prepare(&mut request, version) {
        return unreachable(&reason);
    }
    let (mut sender, connection) = match http1::Builder::new().handshake(TokioIo::new(duplex)).await {
        Ok(both) => both,
        Err(reason) => return unreachable(&reason.to_string()),
    };
    tokio::spawn(async move {
        if let Err(reason) = connection.with_upgrades().await {
            tracing::debug!(%reason, "the connection to a manager ended early");
        }
    });
    let mut response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(reason) => return unreachable(&reason.to_string()),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return relay_upgrade(response, client_upgrade, origin);
    }
    strip_hop_headers(response.headers_mut());
    response.headers_mut().remove(header::DATE);
    // The sender must live as long as the body: hyper ends the connection when it goes.
    response.map(|body| {
        Body::new(Keep {
            body,
            _sender: sender,
        })
    })
}

fn prepare(request: &mut Request<Body>, version: Option<ApiVersion>) -> Result<(), String> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let target = match version {
        Some(version) => format!("/v{version}{target}"),
        None => target.to_owned(),
    };
    *request.uri_mut() = target.parse::<Uri>().map_err(|error| error.to_string())?;
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    let headers = request.headers_mut();
    strip_hop_headers(headers);
    if let Some(protocol) = upgrade {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    headers
        .entry(header::HOST)
        .or_insert(HeaderValue::from_static("docker"));
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    *request.version_mut() = http::Version::HTTP_11;
    Ok(())
}

/// Headers that are about one connection only.
fn strip_hop_headers(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

fn relay_upgrade(
    mut response: http::Response<hyper::body::Incoming>,
    client: Option<OnUpgrade>,
    origin: &Origin,
) -> Response {
    let Some(client) = client else {
        return unreachable("the manager asked for an upgrade that the client did not");
    };
    origin.taken.take();
    let manager = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        if let (Ok(client), Ok(manager)) = tokio::join!(client, manager) {
            let _ =
                tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(manager)).await;
        }
    });
    response.map(|_| Body::empty())
}

fn unreachable(reason: &str) -> Response {
    tracing::warn!(reason, "could not pass a call on to a manager");
    reply::error(
        StatusCode::SERVICE_UNAVAILABLE,
        &format!("rpc error: code = Unavailable desc = could not reach a manager of the swarm: {reason}"),
    )
}

/// A relayed body that keeps the connection it comes from.
struct Keep {
    body: hyper::body::Incoming,
    _sender: http1::SendRequest<Body>,
}

impl hyper::body::Body for Keep {
    type Data = bytes::Bytes;
    type Error = hyper::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
