//! Putting content into a repository.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc::Receiver;

use super::session::{Ask, Session, redirected};
use super::trouble;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;

/// After the last byte the registry has to hash and store them all.
const STORE_TIMEOUT: Duration = Duration::from_secs(600);

/// What a registry answers to "you have this in another repository".
#[derive(Debug)]
pub(crate) enum Mounted {
    Yes,
    /// It wants the bytes: here.
    No(Uri),
}

impl Session {
    /// Whether the repository has a blob of this digest, and size.
    pub async fn has(&self, blob: &Descriptor) -> Result<bool> {
        let uri = self.blob_uri(&blob.digest)?;
        let response = self.exchange(Ask::new(Method::HEAD, uri)).await?;
        let size = length(response.headers());
        match response.status() {
            // A size that differs is another thing under the same name: better sent again than trusted.
            status if status.is_success() => Ok(size.is_none_or(|size| size == blob.size)),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(response).await),
        }
    }

    /// Whether the repository has a manifest of this digest.
    pub async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool> {
        let uri = self.manifest_uri(manifest.digest.as_str())?;
        let mut ask = Ask::new(Method::HEAD, uri);
        ask.headers.insert(header::ACCEPT, media_type(manifest)?);
        let response = self.exchange(ask).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(response).await),
        }
    }

    /// Begins an upload, or finds it needless: another repository of the same registry may have the blob.
    pub async fn begin(&self, blob: Option<&Digest>, from: Option<&str>) -> Result<Mounted> {
        let path = format!("/v2/{}/blobs/uploads/", self.name.path());
        let uri = match (blob, from) {
            (Some(blob), Some(from)) => self.uri(&format!("{path}?mount={blob}&from={from}"))?,
            _ => self.uri(&path)?,
        };
        let response = self.exchange(Ask::new(Method::POST, uri.clone())).await?;
        match response.status() {
            StatusCode::CREATED if from.is_some() => Ok(Mounted::Yes),
            StatusCode::ACCEPTED => Ok(Mounted::No(location(&uri, &response)?)),
            _ => Err(self.refused(response).await),
        }
    }

    /// Sends the bytes of a blob, which must be what was promised, to where the registry wants them.
    pub async fn send(
        &self,
        place: Uri,
        blob: &Descriptor,
        bytes: Receiver<io::Result<Bytes>>,
    ) -> Result<()> {
        let home = self.base()?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(blob.size));
        let sent = Arc::new(Sent::default());
        let body = StreamBody::new(frames(bytes, sent.clone())).boxed_unsync();
        let uri = with_digest(&place, &blob.digest)?;
        // The place may be elsewhere, as a redirect; then it brings its own permission.
        let authorized = (uri.scheme(), uri.authority()) == (home.scheme(), home.authority());
        let request = self.request(&Method::PUT, &uri, &headers, body, authorized)?;
        let mut upload = std::pin::pin!(self.http.upload(request));
        let mut seen = 0;
        let response = loop {
            let patience = if sent.count() < blob.size {
                self.idle
            } else {
                STORE_TIMEOUT
            };
            match tokio::time::timeout(patience, &mut upload).await {
                Ok(answer) => break answer?,
                Err(_) if sent.count() > seen => seen = sent.count(),
                Err(_) => return Err(trouble::timed_out(&uri)),
            }
        };
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            // The token ran out meanwhile: the next try brings a new one.
            StatusCode::UNAUTHORIZED => {
                Err(Error::Unreachable("the registry's permission ran out".to_owned()))
            }
            _ => Err(self.refused(response).await),
        }
    }

    /// Gives the repository a manifest or index, by tag or digest.
    pub async fn put_manifest(&self, which: &str, manifest: &Descriptor, text: &[u8]) -> Result<()> {
        let mut ask = Ask::new(Method::PUT, self.manifest_uri(which)?);
        ask.headers.insert(header::CONTENT_TYPE, media_type(manifest)?);
        ask.body = Bytes::copy_from_slice(text);
        let response = self.exchange(ask).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let stored = response
            .headers()
            .get("docker-content-digest")
            .and_then(|v| v.to_str().ok());
        match stored {
            Some(stored) if stored != manifest.digest.as_str() => Err(Error::Corrupt(format!(
                "the registry stored {stored} in place of {}",
                manifest.digest
            ))),
            _ => Ok(()),
        }
    }

    fn base(&self) -> Result<Uri> {
        self.uri("/v2/")
    }

    pub(super) fn manifest_uri(&self, which: &str) -> Result<Uri> {
        self.uri(&format!("/v2/{}/manifests/{which}", self.name.path()))
    }
}

/// How far an upload is, for whoever watches that it moves.
#[derive(Debug, Default)]
struct Sent {
    bytes: AtomicU64,
}

impl Sent {
    fn count(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn frames(
    mut bytes: Receiver<io::Result<Bytes>>,
    sent: Arc<Sent>,
) -> impl futures_util::Stream<Item = io::Result<Frame<Bytes>>> + Send {
    futures_util::stream::poll_fn(move |cx| bytes.poll_recv(cx)).map(move |chunk| {
        let chunk = chunk?;
        sent.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok(Frame::data(chunk))
    })
}

fn media_type(of: &Descriptor) -> Result<HeaderValue> {
    HeaderValue::from_str(&of.media_type)
        .map_err(|_| Error::Corrupt(format!("invalid media type {:?}", of.media_type)))
}

pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    text.parse().ok()
}

/// Where an upload goes on.
fn location(asked: &Uri, response: &Response<Incoming>) -> Result<Uri> {
    let place = response
        .headers()
        .get(header::LOCATION)
        .and_then(|v| v.to_str().ok());
    let place = place.ok_or_else(|| {
        Error::Unreachable(format!(
            "Post \"{asked}\": the registry does not say where to send"
        ))
    })?;
    redirected(asked, place)
}

fn with_digest(place: &Uri, digest: &Digest) -> Result<Uri> {
    let joint = if place.query().is_some() { '&' } else { '?' };
    format!("{place}{joint}digest={}", digest.as_str().replace(':', "%3A"))
        .parse()
        .map_err(|_| Error::Unreachable(format!("the registry names an invalid place {place}")))
}
