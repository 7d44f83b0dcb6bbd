//! Images.

use crate::error::{Error, Result};
use crate::stream::{BoxStream, Upload};
use async_trait::async_trait;
use bytes::Bytes;
use shoal_api_types::Filters;
use shoal_api_types::auth::AuthConfig;
use shoal_api_types::image::*;
use shoal_api_types::message::JsonMessage;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListImages {
    pub all: bool,
    pub filters: Filters,
    pub shared_size: bool,
    pub digests: bool,
    pub manifests: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullImage {
    /// `fromImage`: name with or without tag or digest.
    pub name: String,
    /// `tag`: a tag or a digest.
    pub tag: String,
    /// With neither tag nor digest: every tag rather than `latest`.
    pub all_tags: bool,
    pub platform: Option<OciPlatform>,
    pub auth: Option<AuthConfig>,
}

pub struct ImportImage {
    /// `-` is the body, else a URL.
    pub source: String,
    pub repo: String,
    pub tag: String,
    pub message: String,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    pub platform: Option<OciPlatform>,
    pub body: BoxStream<Result<Bytes>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveImage {
    pub force: bool,
    pub no_prune: bool,
    pub platforms: Vec<OciPlatform>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListAttestations {
    pub platform: Option<OciPlatform>,
    /// Predicate types; empty for all.
    pub kinds: Vec<String>,
    /// With the statements themselves.
    pub statements: bool,
}

/// Everything about images but building. `name` is a reference, an id or an unambiguous prefix of one.
#[async_trait]
pub trait Images: Send + Sync + 'static {
    async fn list(&self, options: ListImages) -> Result<Vec<ImageSummary>>;
    async fn inspect(
        &self,
        name: &str,
        platform: Option<OciPlatform>,
        manifests: bool,
    ) -> Result<ImageInspect>;
    async fn attestations(&self, name: &str, options: ListAttestations) -> Result<Vec<AttestationStatement>> {
        let _ = (name, options);
        Err(Error::not_implemented("what is stated about an image"))
    }
    async fn history(&self, name: &str, platform: Option<OciPlatform>) -> Result<Vec<HistoryItem>>;
    /// Fails before the first progress only for what the request says (an invalid reference); the rest is in the stream.
    async fn pull(&self, request: PullImage) -> Result<BoxStream<Result<JsonMessage>>>;
    async fn import(&self, request: ImportImage) -> Result<BoxStream<Result<JsonMessage>>>;
    async fn load(
        &self,
        tar: Upload,
        quiet: bool,
        platforms: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<JsonMessage>>>;
    /// A tar of the named images.
    async fn save(&self, names: Vec<String>, platforms: Vec<OciPlatform>)
    -> Result<BoxStream<Result<Bytes>>>;
    async fn tag(&self, name: &str, repo: &str, tag: &str) -> Result<()>;
    async fn remove(&self, name: &str, options: RemoveImage) -> Result<Vec<ImageDeleteItem>>;
    async fn prune(&self, filters: Filters) -> Result<ImagePruneReport>;

    async fn push(
        &self,
        name: &str,
        tag: &str,
        platform: Option<OciPlatform>,
        auth: Option<AuthConfig>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        let _ = (name, tag, platform, auth);
        Err(Error::not_implemented("pushing an image"))
    }
    async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        auth: Option<AuthConfig>,
    ) -> Result<Vec<SearchResult>> {
        let _ = (term, limit, filters, auth);
        Err(Error::not_implemented("searching for images"))
    }
    async fn distribution(&self, name: &str, auth: Option<AuthConfig>) -> Result<DistributionInspect> {
        let _ = (name, auth);
        Err(Error::not_implemented("asking a registry about an image"))
    }
}
