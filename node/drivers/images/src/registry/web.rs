//! A file from somewhere in the web, for `docker import URL`.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use super::body;
use super::config::RegistryConfig;
use super::http::{Http, full};
use super::session::redirected;
use super::upload::length;
use crate::error::{Error, Result};
use crate::progress::Sink;

/// As many as Go's client follows.
const REDIRECTS_MAX: usize = 10;
/// Of an answer that is an error.
const TROUBLE_MAX: u64 = 64 << 10;
/// Bytes between two reports of progress.
const REPORT_EVERY: u64 = 512 << 10;

/// A file whose first byte is about to come.
#[derive(Debug)]
pub struct Remote {
    /// With the scheme that was meant.
    pub url: String,
    size: Option<u64>,
    body: Incoming,
    idle: Duration,
}

impl Remote {
    /// Asks for a URL (`http` if it names no scheme), with the proxies and certificates that registries are asked with.
    pub(crate) async fn open(source: &str, config: &RegistryConfig) -> Result<Remote> {
        let url = match source.contains("://") {
            true => source.to_owned(),
            false => format!("http://{source}"),
        };
        let invalid = || Error::InvalidParameter(format!("{source:?} is no URL to import from"));
        let mut uri: Uri = url.parse().map_err(|_| invalid())?;
        for _ in 0..=REDIRECTS_MAX {
            let scheme = uri.scheme_str().unwrap_or_default();
            if !matches!(scheme, "http" | "https") {
                let why = format!("Get \"{uri}\": unsupported protocol scheme {scheme:?}");
                return Err(Error::Unreachable(why));
            }
            let host = uri.authority().ok_or_else(invalid)?.as_str();
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            let http = Http::open(config, host).await?;
            let mut request = Request::new(full(Bytes::new()));
            *request.uri_mut() = uri.clone();
            let response = http.send(request).await?;
            let status = response.status();
            let place = response.headers().get(http::header::LOCATION);
            if let Some(place) = place.filter(|_| status.is_redirection()) {
                let place = place.to_str().map_err(|_| invalid())?;
                uri = redirected(&uri, place)?;
                continue;
            }
            if !status.is_success() {
                return Err(refused(&url, response, config.idle_timeout).await);
            }
            return Ok(Remote {
                url,
                size: length(response.headers()),
                body: response.into_body(),
                idle: config.idle_timeout,
            });
        }
        Err(Error::Unreachable(format!(
            "Get \"{url}\": stopped after {REDIRECTS_MAX} redirects"
        )))
    }

    /// What it holds, while the sink hears how far it is.
    pub fn stream(self, sink: Sink) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let state = (self, sink, 0u64, 0u64);
        stream::try_unfold(state, |(mut from, sink, mut have, mut told)| async move {
            let chunk = body::chunk(&mut from.body, from.idle).await;
            let broken = |e: Error| io::Error::other(format!("Get \"{}\": {e}", from.url));
            let Some(chunk) = chunk.map_err(broken)? else {
                return Ok(None);
            };
            have += chunk.len() as u64;
            if have >= told + REPORT_EVERY || Some(have) == from.size {
                told = have;
                sink.count("", "Importing", have, from.size);
            }
            Ok(Some((chunk, (from, sink, have, told))))
        })
    }
}

/// In Docker's words, with what the server says.
async fn refused(url: &str, response: Response<Incoming>, idle: Duration) -> Error {
    let status = response.status();
    let reason = response.extensions().get::<ReasonPhrase>();
    let reason = reason.map_or_else(
        || status.canonical_reason().unwrap_or_default().to_owned(),
        |reason| String::from_utf8_lossy(reason.as_bytes()).into_owned(),
    );
    let said = body::small(response.into_body(), TROUBLE_MAX, idle).await;
    let said = said.unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let text = format!(
        "failed to GET {url} with status {} {reason}: {}",
        status.as_u16(),
        said.trim()
    );
    match status {
        StatusCode::NOT_FOUND => Error::NotFound(text),
        StatusCode::BAD_REQUEST => Error::InvalidParameter(text),
        StatusCode::UNAUTHORIZED => Error::Unauthorized(text),
        _ => Error::Unreachable(text),
    }
}
