//! One repository of one registry, for one operation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use shoal_api_types::auth::AuthConfig;

use super::auth::{Authorizer, challenges};
use super::config::RegistryConfig;
use super::http::{Http, Outgoing, full, host_of};
use super::ways::{Found, Ways};
use super::{body, trouble};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, MANIFEST_MAX, OCI_INDEX, OCI_MANIFEST};
use crate::reference::Reference;

const REDIRECTS_MAX: usize = 5;
/// Pages of tags; a page has a hundred or more.
const TAG_PAGES_MAX: usize = 200;
/// The longest wait that a busy registry may ask for.
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// Of an answer that is an error.
const TROUBLE_MAX: u64 = 64 * 1024;

/// What is to be done with the repository: a token is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// A connection to a repository.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) http: Http,
    authorizer: Authorizer,
    /// `https://registry-1.docker.io`.
    base: String,
    pub(super) name: Reference,
    pub(super) idle: Duration,
    access: Access,
    attempts_max: u32,
    retry_delay: Duration,
}

/// A request that can be made again.
pub(super) struct Ask {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Ask {
    pub fn new(method: Method, uri: Uri) -> Ask {
        Ask {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
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
        access: Access,
        auth: Option<AuthConfig>,
        config: &RegistryConfig,
        ways: &Arc<Ways>,
    ) -> Result<Session> {
        let (domain, host) = (name.domain(), host_of(name.domain()));
        let insecure = config.is_insecure(domain);
        let mut session = Session::new(name, access, auth, config, ways).await?;
        let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
        let mut failed = Error::Unreachable(format!("no way to reach {host}"));
        for scheme in schemes {
            session.base = format!("{scheme}://{host}");
            match session.ping().await {
                Ok(challenges) => {
                    let base = session.base.clone();
                    ways.set_found(domain, Found { base, challenges });
                    return Ok(session);
                }
                Err(error @ Error::Unreachable(_)) => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// The same without a question, if the registry was asked moments ago. It may have become another since.
    pub async fn again(
        name: &Reference,
        access: Access,
        auth: Option<AuthConfig>,
        config: &RegistryConfig,
        ways: &Arc<Ways>,
    ) -> Result<Option<Session>> {
        let Some(Found { base, challenges }) = ways.found(name.domain()) else {
            return Ok(None);
        };
        let mut session = Session::new(name, access, auth, config, ways).await?;
        session.base = base;
        if challenges.is_empty() {
            return Ok(Some(session));
        }
        let uri = session.uri("/v2/")?;
        let answered = session
            .authorizer
            .answer(&session.http, &uri, &challenges, session.idle);
        match answered.await {
            Ok(_) => Ok(Some(session)),
            Err(error @ (Error::Unauthorized(_) | Error::Refused(_))) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn new(
        name: &Reference,
        access: Access,
        auth: Option<AuthConfig>,
        config: &RegistryConfig,
        ways: &Arc<Ways>,
    ) -> Result<Session> {
        let scope = match access {
            Access::Pull => format!("repository:{}:pull", name.path()),
            Access::Push => format!("repository:{}:pull,push", name.path()),
        };
        Ok(Session {
            http: ways.client(config, name.domain()).await?,
            authorizer: Authorizer::new(name.domain(), scope, auth),
            base: String::new(),
            name: name.clone(),
            idle: config.idle_timeout,
            access,
            attempts_max: config.attempts_max.max(1),
            retry_delay: config.retry_delay,
        })
    }

    /// The same repository of the Hub at one of its mirrors. Credentials are not a mirror's business.
    pub async fn mirror(
        name: &Reference,
        base: &str,
        config: &RegistryConfig,
        ways: &Arc<Ways>,
    ) -> Result<Session> {
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base
            .parse()
            .map_err(|_| Error::Unreachable(format!("invalid mirror {base:?}")))?;
        let idle = config.idle_timeout;
        let session = Session {
            http: ways
                .client(config, uri.authority().map_or("", |a| a.as_str()))
                .await?,
            authorizer: Authorizer::new(name.domain(), format!("repository:{}:pull", name.path()), None),
            base,
            name: name.clone(),
            idle,
            access: Access::Pull,
            attempts_max: config.attempts_max.max(1),
            retry_delay: config.retry_delay,
        };
        session.ping().await?;
        Ok(session)
    }

    /// Asks whether it is a registry, and answers what it asks back; returns that.
    async fn ping(&self) -> Result<Vec<String>> {
        let uri = self.uri("/v2/")?;
        let request = self.request(&Method::GET, &uri, &HeaderMap::new(), full(Bytes::new()), false)?;
        let response = self.http.send(request).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                let challenges = challenges(&response);
                self.authorizer
                    .answer(&self.http, &uri, &challenges, self.idle)
                    .await?;
                Ok(challenges)
            }
            status if status.is_server_error() => Err(Error::Unreachable(format!(
                "Get \"{uri}\": received unexpected HTTP status: {status}"
            ))),
            // Some answer 404 here and serve repositories all the same.
            _ => Ok(Vec::new()),
        }
    }

    /// The digest of the manifest or index that a tag or digest stands for, if the registry says so much without sending
    /// it: this counts as no pull where pulls are counted.
    pub async fn digest_of(&self, which: &str) -> Option<Digest> {
        let ask = Ask {
            headers: manifests(),
            ..Ask::new(Method::HEAD, self.manifest_uri(which).ok()?)
        };
        let response = self.exchange(ask).await.ok()?;
        let digest = response.headers().get("docker-content-digest")?.to_str().ok()?;
        let digest = Digest::parse(digest).ok();
        digest.filter(|_| response.status().is_success())
    }

    /// A manifest or index by tag or digest: its text and what it was served as.
    pub async fn manifest(&self, which: &str) -> Result<(Vec<u8>, String)> {
        let response = self.get(self.manifest_uri(which)?, manifests()).await?;
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

    /// Every tag, however many pages they fill, up to a bound.
    pub async fn tags(&self) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut uri = self.uri(&format!("/v2/{}/tags/list", self.name.path()))?;
        let mut all = Vec::new();
        for _ in 0..TAG_PAGES_MAX {
            let response = self.get(uri.clone(), HeaderMap::new()).await?;
            let next = response
                .headers()
                .get(header::LINK)
                .and_then(|v| v.to_str().ok())
                .filter(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))
                .and_then(|link| link.split_once('<')?.1.split_once('>'))
                .map(|(next, _)| next.to_owned());
            let text = body::small(response.into_body(), MANIFEST_MAX, self.idle).await?;
            let page: Page = serde_json::from_slice(&text)
                .map_err(|e| Error::Corrupt(format!("the registry's list of tags cannot be read: {e}")))?;
            all.extend(page.tags.unwrap_or_default());
            let Some(next) = next else {
                return Ok(all);
            };
            let following = redirected(&uri, &next)?;
            if (following.scheme(), following.authority()) != (uri.scheme(), uri.authority()) {
                break;
            }
            uri = following;
        }
        Err(Error::Corrupt(
            "the registry's list of tags has no end".to_owned(),
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

    pub(super) fn blob_uri(&self, digest: &Digest) -> Result<Uri> {
        self.uri(&format!("/v2/{}/blobs/{digest}", self.name.path()))
    }

    pub(super) async fn get(&self, uri: Uri, headers: HeaderMap) -> Result<Response<Incoming>> {
        let ask = Ask {
            headers,
            ..Ask::new(Method::GET, uri)
        };
        let response = self.exchange(ask).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refused(response).await),
        }
    }

    /// Asks until there is an answer: with authorization, once renewed; through redirects of what only reads, which
    /// get none elsewhere; and a few times more where the registry is too busy.
    pub(super) async fn exchange(&self, ask: Ask) -> Result<Response<Incoming>> {
        let mut target = ask.uri.clone();
        let mut renewed = false;
        let (mut hops, mut tries) = (0, 1);
        let reads = matches!(ask.method, Method::GET | Method::HEAD);
        loop {
            let home = (target.scheme(), target.authority()) == (ask.uri.scheme(), ask.uri.authority());
            let body = full(ask.body.clone());
            let request = self.request(&ask.method, &target, &ask.headers, body, home)?;
            let response = self.http.send(request).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && home && !renewed {
                renewed = true;
                if self.renew(&target, &response).await? {
                    continue;
                }
            }
            let busy = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            if busy
                && tries < self.attempts_max
                && let Some(delay) = patience(response.headers(), self.retry_delay * tries)
            {
                tokio::time::sleep(delay).await;
                tries += 1;
                continue;
            }
            if reads
                && status.is_redirection()
                && let Some(next) = response
                    .headers()
                    .get(header::LOCATION)
                    .and_then(|v| v.to_str().ok())
            {
                target = redirected(&target, next)?;
                hops += 1;
                if hops < REDIRECTS_MAX {
                    continue;
                }
                return Err(Error::Unreachable(format!(
                    "Get \"{}\": stopped after {REDIRECTS_MAX} redirects",
                    ask.uri
                )));
            }
            return Ok(response);
        }
    }

    /// Answers a 401; false if there is nothing new to say.
    async fn renew(&self, at: &Uri, response: &Response<Incoming>) -> Result<bool> {
        let challenges = challenges(response);
        self.authorizer
            .answer(&self.http, at, &challenges, self.idle)
            .await
    }

    /// The error that an answer stands for.
    pub(super) async fn refused(&self, response: Response<Incoming>) -> Error {
        let status = response.status();
        let text = body::small(response.into_body(), TROUBLE_MAX, self.idle)
            .await
            .unwrap_or_default();
        match self.access {
            Access::Pull => trouble::refused(status, &text, &self.name),
            Access::Push => trouble::push_refused(status, &text),
        }
    }

    pub(super) fn request(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Outgoing,
        authorized: bool,
    ) -> Result<Request<Outgoing>> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(uri)
            .header(header::USER_AGENT, "shoal");
        if authorized && let Some(header) = self.authorizer.header() {
            request = request.header(header::AUTHORIZATION, header);
        }
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        request
            .body(body)
            .map_err(|e| Error::Unreachable(format!("{method} \"{uri}\": {e}")))
    }

    pub(super) fn uri(&self, path: &str) -> Result<Uri> {
        let text = format!("{}{path}", self.base);
        text.parse()
            .map_err(|_| Error::InvalidReference(format!("invalid reference format: {text}")))
    }
}

/// All kinds that are understood.
fn manifests() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for kind in [OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST] {
        headers.append(header::ACCEPT, header::HeaderValue::from_static(kind));
    }
    headers
}

/// How long to wait for a registry that is too busy; `None` if it wants more than anybody would wait.
fn patience(headers: &HeaderMap, otherwise: Duration) -> Option<Duration> {
    let asked = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    match asked {
        Some(asked) if asked > PATIENCE_MAX => None,
        Some(asked) => Some(asked.max(otherwise)),
        None => Some(otherwise),
    }
}

/// Relative to where we are; never from TLS to plain.
pub(super) fn redirected(from: &Uri, to: &str) -> Result<Uri> {
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
