//! From a request to a reply: path and version, then a route, then the headers that every reply carries.

use crate::authorize;
use crate::backends::Backends;
use crate::body::writes;
use crate::connection::Origin;
use crate::forward;
use crate::reply;
use crate::routes;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use hyper::body::Body as _;
use shoal_api_backend::{ApiVersion, Gatekeeper, Route};
use std::convert::Infallible;
use std::sync::Arc;
use tower::ServiceExt;

/// The whole API over one set of backends; cheap to clone.
#[derive(Clone)]
pub struct Router {
    backends: Arc<Backends>,
    routes: axum::Router,
    oldest: ApiVersion,
    gate: Option<Arc<dyn Gatekeeper>>,
}

pub fn router(backends: Backends) -> Router {
    let backends = Arc::new(backends);
    Router {
        routes: routes::all(backends.clone()),
        backends,
        oldest: ApiVersion::MIN,
        gate: None,
    }
}

impl Router {
    /// Serves no version older than `1.minor`.
    pub fn serving_from(mut self, minor: u16) -> Self {
        self.oldest = ApiVersion::new(1, minor);
        self
    }

    /// From now on every call of a client is asked about.
    pub fn guarded_by(mut self, gate: Arc<dyn Gatekeeper>) -> Self {
        self.gate = Some(gate);
        self
    }
}

/// The version that the request speaks; the newest when its path names none.
pub(crate) struct Version(pub ApiVersion);

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(
            parts.extensions.get::<ApiVersion>().copied().unwrap_or_default(),
        ))
    }
}

impl Router {
    pub(crate) async fn answer(&self, mut request: Request<Body>, origin: Origin) -> Response {
        let mut response = match &self.gate {
            // What another node passes on was asked about there.
            Some(gate) if origin.peer.is_none() && gate.is_there() => {
                match authorize::request(&**gate, &mut request, &origin).await {
                    Ok(call) => {
                        let response = self.versioned(request, origin.clone()).await;
                        authorize::answer(&**gate, &call, response).await
                    }
                    Err(refused) => refused,
                }
            }
            _ => self.versioned(request, origin.clone()).await,
        };
        self.add_headers(&mut response);
        // A reply of unknown length may stay silent for ever; it ends when nobody is left to read it.
        match response.body().size_hint().exact() {
            Some(_) => response,
            None => response.map(|body| origin.until_gone(body)),
        }
    }

    async fn versioned(&self, mut request: Request<Body>, origin: Origin) -> Response {
        match strip_version(&mut request, self.oldest) {
            Err(refused) => refused,
            Ok(()) => self.route(request, origin).await,
        }
    }

    async fn route(&self, mut request: Request<Body>, origin: Origin) -> Response {
        if let Some(whole) = linked(&request) {
            *request.uri_mut() = whole;
        }
        let path = request.uri().path();
        if request.method() == Method::OPTIONS {
            return reply::ok();
        }
        if path.contains("//") {
            return moved(request.uri());
        }
        // Docker answers HEAD in two places only.
        if request.method() == Method::HEAD && path != "/_ping" && !path.ends_with("/archive") {
            return reply::page_not_found();
        }
        let cluster = forward::is_cluster_call(request.method(), path);
        if let Some(peer) = &origin.peer {
            if !cluster {
                tracing::warn!(
                    node = peer.node_id,
                    path,
                    "refused a call that no node may pass on"
                );
                return reply::error(StatusCode::FORBIDDEN, "this call is not passed on between nodes");
            }
        } else if cluster {
            match self.backends.forwarding.route(writes(request.method())).await {
                Route::Local => {}
                Route::Remote(duplex) => return forward::replay(request, duplex, &origin).await,
                Route::Refuse(error) => return reply::Failure(error).into_response(),
            }
        }
        request.extensions_mut().insert(origin);
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn add_headers(&self, response: &mut Response) {
        let ping = self.backends.system.ping();
        let headers = response.headers_mut();
        headers.insert(
            "api-version",
            HeaderValue::from_static(shoal_api_types::API_VERSION),
        );
        headers.insert("ostype", HeaderValue::from_static("linux"));
        headers.insert(
            "docker-experimental",
            HeaderValue::from_static(if ping.experimental { "true" } else { "false" }),
        );
        if let Ok(server) = HeaderValue::from_str(&format!("Docker/{} (linux)", ping.version)) {
            headers.insert(header::SERVER, server);
        }
    }
}

/// Takes `/v1.xx` off the path and notes it; refuses what is too old or too new. A prefix that is no version is left, and is
/// then a page not found.
fn strip_version(request: &mut Request<Body>, oldest: ApiVersion) -> Result<(), Response> {
    let path = request.uri().path();
    let Some((prefix, rest)) = path.strip_prefix("/v").and_then(|text| text.split_once('/')) else {
        return Ok(());
    };
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Ok(());
    }
    let Ok(version) = prefix.parse::<ApiVersion>() else {
        return Ok(());
    };
    if version < oldest {
        let text = format!(
            "client version {prefix} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
            oldest
        );
        return Err(reply::error(StatusCode::BAD_REQUEST, &text));
    }
    if version > ApiVersion::MAX {
        let text = format!(
            "client version {prefix} is too new. Maximum supported API version is {}",
            ApiVersion::MAX
        );
        return Err(reply::error(StatusCode::BAD_REQUEST, &text));
    }
    let mut target = format!("/{rest}");
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    match target.parse::<Uri>() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return Err(reply::page_not_found()),
    }
    request.extensions_mut().insert(version);
    Ok(())
}

/// The name of a legacy link, `container/alias`, as the one part of the path that it is meant to be.
fn linked(request: &Request<Body>) -> Option<Uri> {
    let rest = request.uri().path().strip_prefix("/containers/")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let alone = request.method() == Method::DELETE && parts.len() == 2;
    // Where three parts mean something else.
    let verb = parts.len() == 3 && !["attach", "checkpoints"].contains(&parts[1]);
    if !(alone || verb) || parts.contains(&"") {
        return None;
    }
    let query = request
        .uri()
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let (name, verb) = (parts[..2].join("%2F"), parts[2..].concat());
    let path = ["/containers", &name, &verb].join("/");
    format!("{}{query}", path.trim_end_matches('/')).parse().ok()
}

/// A path with doubled slashes is answered with the one that is meant.
fn moved(uri: &Uri) -> Response {
    let mut clean = String::new();
    for part in uri.path().split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() || uri.path().ends_with('/') {
        clean.push('/');
    }
    if let Some(query) = uri.query() {
        clean = format!("{clean}?{query}");
    }
    match HeaderValue::from_str(&clean) {
        Ok(to) => (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response(),
        Err(_) => reply::page_not_found(),
    }
}
