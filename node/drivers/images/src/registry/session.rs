//! One repository of one registry, for one operation.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use shoal_api_types::auth::AuthConfig;

use super::auth::{Authorizer, challenges};
use super::config::RegistryConfig;
use super::http::Http;
use super::{body, trouble};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, MANIFEST_MAX, OCI_INDEX, OCI_MANIFEST};
use crate::reference::Reference;

const REDIRECTS_MAX: usize = 5;
/// Of an answer that is an error.
const TROUBLE_MAX: u64 = 64 * 1024;

/// A connection to a repository.
#[derive(Debug)]
pub(crate) struct Session {
    http: Http,
    authorizer: Authorizer,
    /// `https://registry-1.docker.io`.
    base: String,
    name: Reference,
    idle: Duration,
}

/// A blob that is coming in.
#[derive(Debug)]
pub(crate) struct Part {
    body: Incoming,
    idle: Duration,
    /// Where it begins: the registry may have begun anew although asked to go on.
    pub from: u64,
}

impl Part {
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        body::chunk(&mut self.body, self.idle).await
    }
}

impl Session {
    /// Finds out how the registry is reached. The first request only asks whether it is one.
    pub async fn open(
        name: &Reference,
        auth: Option<AuthConfig>,
        config: &RegistryConfig,
    ) -> Result<Session> {
        let domain = name.domain();
        let host = if domain == "docker.io" {
            "registry-1.docker.io"
        } else {
            domain
        };
        let insecure = config.is_insecure(domain);
        let idle = config.idle_timeout;
        // Reading the system's certificates takes a while.
        let http = tokio::task::spawn_blocking(move || Http::new(!insecure, idle)).await;
        let http = http.map_err(|e| Error::Unreachable(e.to_string()))??;
        let scope = format!("repository:{}:pull", name.path());
        let mut session = Session {
            http,
            authorizer: Authorizer::new(domain, scope, auth),
            base: String::new(),
            name: name.clone(),
            idle,
        };
        let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
        let mut failed = Error::Unreachable(format!("no way to reach {host}"));
        for scheme in schemes {
            session.base = format!("{scheme}://{host}");
            match session.ping().await {
                Ok(()) => return Ok(session),
                Err(error @ Error::Unreachable(_)) => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// The same repository of the Hub at one of its mirrors. Credentials are not a mirror's business.
    pub async fn mirror(name: &Reference, base: &str, config: &RegistryConfig) -> Result<Session> {
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base
            .parse()
            .map_err(|_| Error::Unreachable(format!("invalid mirror {base:?}")))?;
        let insecure = config.is_insecure(uri.authority().map_or("", |a| a.as_str()));
        let idle = config.idle_timeout;
        let http = tokio::task::spawn_blocking(move || Http::new(!insecure, idle)).await;
        let session = Session {
            http: http.map_err(|e| Error::Unreachable(e.to_string()))??,
            authorizer: Authorizer::new(name.domain(), format!("repository:{}:pull", name.path()), None),
            base,
            name: name.clone(),
            idle,
        };
        session.ping().await?;
        Ok(session)
    }

    async fn ping(&self) -> Result<()> {
        let uri = self.uri("/v2/")?;
        let response = self
            .http
            .send(self.request(&uri, &HeaderMap::new(), false)?)
            .await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                let challenges = challenges(&response);
                self.authorizer
                    .answer(&self.http, &uri, &challenges, self.idle)
                    .await
                    .map(drop)
            }
            status if status.is_server_error() => Err(Error::Unreachable(format!(
                "Get \"{uri}\": received unexpected HTTP status: {status}"
            ))),
            // Some answer 404 here and serve repositories all the same.
            _ => Ok(()),
        }
    }

    /// A manifest or index by tag or digest: its text and what it was served as.
    pub async fn manifest(&self, which: &str) -> Result<(Vec<u8>, String)> {
        let uri = self.uri(&format!("/v2/{}/manifests/{which}", self.name.path()))?;
        let mut headers = HeaderMap::new();
        for kind in [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST] {
            headers.append(header::ACCEPT, header::HeaderValue::from_static(kind));
        }
        let response = self.get(uri, headers).await?;
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        Ok((
            body::small(response.into_body(), MANIFEST_MAX, self.idle).await?,
            kind,
        ))
    }

    /// A small blob, checked against what was promised.
    pub async fn small_blob(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if blob.size > limit {
            return Err(Error::Corrupt(format!(
                "blob {} of {} bytes is too large",
                blob.digest, blob.size
            )));
        }
        let response = self.get(self.blob_uri(&blob.digest)?, HeaderMap::new()).await?;
        let text = body::small(response.into_body(), limit, self.idle).await?;
        match text.len() as u64 == blob.size && Digest::of(&text) == blob.digest {
            true => Ok(text),
            false => Err(Error::Corrupt(format!(
                "blob {} does not match its digest or size",
                blob.digest
            ))),
        }
    }

    /// A blob from an offset on.
    pub async fn blob(&self, digest: &Digest, from: u64) -> Result<Part> {
        let mut headers = HeaderMap::new();
        if from > 0
            && let Ok(range) = header::HeaderValue::from_str(&format!("bytes={from}-"))
        {
            headers.insert(header::RANGE, range);
        }
        let response = self.get(self.blob_uri(digest)?, headers).await?;
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        if partial && !begins_at(response.headers(), from) {
            return Err(Error::Unreachable(format!(
                "the registry sent another part of {digest} than asked for"
            )));
        }
        Ok(Part {
            body: response.into_body(),
            idle: self.idle,
            from: if partial { from } else { 0 },
        })
    }

    fn blob_uri(&self, digest: &Digest) -> Result<Uri> {
        self.uri(&format!("/v2/{}/blobs/{digest}", self.name.path()))
    }

    /// A GET with authorization, once renewed, and redirects, which get none elsewhere.
    async fn get(&self, uri: Uri, headers: HeaderMap) -> Result<Response<Incoming>> {
        let mut target = uri.clone();
        let mut renewed = false;
        for _ in 0..REDIRECTS_MAX {
            let home = (target.scheme(), target.authority()) == (uri.scheme(), uri.authority());
            let response = self.http.send(self.request(&target, &headers, home)?).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if status == StatusCode::UNAUTHORIZED && home && !renewed {
                renewed = true;
                let challenges = challenges(&response);
                if self
                    .authorizer
                    .answer(&self.http, &target, &challenges, self.idle)
                    .await?
                {
                    continue;
                }
            }
            if status.is_redirection()
                && let Some(next) = response
                    .headers()
                    .get(header::LOCATION)
                    .and_then(|v| v.to_str().ok())
            {
                target = redirected(&target, next)?;
                continue;
            }
            let text = body::small(response.into_body(), TROUBLE_MAX, self.idle)
                .await
                .unwrap_or_default();
            return Err(trouble::refused(status, &text, &self.name));
        }
        Err(Error::Unreachable(format!(
            "Get \"{uri}\": stopped after {REDIRECTS_MAX} redirects"
        )))
    }

    fn request(&self, uri: &Uri, headers: &HeaderMap, authorized: bool) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().uri(uri).header(header::USER_AGENT, "shoal");
        if authorized && let Some(header) = self.authorizer.header() {
            request = request.header(header::AUTHORIZATION, header);
        }
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        request
            .body(Full::default())
            .map_err(|e| Error::Unreachable(format!("Get \"{uri}\": {e}")))
    }

    fn uri(&self, path: &str) -> Result<Uri> {
        let text = format!("{}{path}", self.base);
        text.parse()
            .map_err(|_| Error::InvalidReference(format!("invalid reference format: {text}")))
    }
}

fn redirected(from: &Uri, to: &str) -> Result<Uri> {
    let invalid = || Error::Unreachable(format!("Get \"{from}\": redirected to {to:?}"));
    let absolute = match to.strip_prefix('/') {
        Some(_) if !to.starts_with("//") => {
            let scheme = from.scheme_str().unwrap_or("https");
            format!("{scheme}://{}{to}", from.authority().map_or("", |a| a.as_str()))
        }
        _ => to.to_owned(),
    };
    let uri: Uri = absolute.parse().map_err(|_| invalid())?;
    let plain = uri.scheme_str() == Some("http");
    match uri.scheme_str() {
        Some("https" | "http") if !(plain && from.scheme_str() == Some("https")) => Ok(uri),
        _ => Err(invalid()),
    }
}

/// `bytes 100-199/200`.
fn begins_at(headers: &HeaderMap, offset: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let begin = range
        .and_then(|text| text.strip_prefix("bytes "))
        .and_then(|text| text.split_once('-'));
    begin.is_some_and(|(begin, _)| begin.parse() == Ok(offset))
}
