//! `/images` and `/distribution`.

use crate::call::{Client, Query, segment, tar};
use crate::error::Result;
use crate::stream::{Bytes, JsonStream};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use futures_util::Stream;
use http::Method;
use shoal_api_types::Filters;
use shoal_api_types::auth::AuthConfig;
use shoal_api_types::image::*;
use shoal_api_types::message::JsonMessage;

/// `X-Registry-Auth`.
pub fn encode_auth(auth: &AuthConfig) -> String {
    BASE64_URL_SAFE.encode(serde_json::to_vec(auth).unwrap_or_default())
}

fn auth_header(auth: Option<&AuthConfig>) -> Vec<(&'static str, String)> {
    auth.map(|auth| ("x-registry-auth", encode_auth(auth)))
        .into_iter()
        .collect()
}

fn of(name: &str, what: &str) -> String {
    format!("/images/{}{what}", segment(name))
}

impl Client {
    pub async fn image_list(&self, all: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        self.get("/images/json", Query::new().flag("all", all).filters(filters))
            .await
    }
    pub async fn image_inspect(&self, name: &str) -> Result<ImageInspect> {
        self.get(&of(name, "/json"), Query::new()).await
    }
    pub async fn image_inspect_raw(&self, name: &str) -> Result<serde_json::Value> {
        self.get(&of(name, "/json"), Query::new()).await
    }
    pub async fn image_history(&self, name: &str) -> Result<Vec<HistoryItem>> {
        self.get(&of(name, "/history"), Query::new()).await
    }
    /// Progress; a message with `error_detail` is a failure.
    pub async fn image_pull(
        &self,
        name: &str,
        tag: &str,
        platform: Option<&str>,
        auth: Option<&AuthConfig>,
    ) -> Result<JsonStream<JsonMessage>> {
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let query = Query::new()
            .text("fromImage", name)
            .optional("tag", tag)
            .optional("platform", platform);
        let response = self
            .send(Method::POST, "/images/create", query, auth_header(auth), None)
            .await?;
        Ok(JsonStream::new(response.into_body(), "pull"))
    }
    /// `source` is `-` for the body, or a URL.
    pub async fn image_import(
        &self,
        source: &str,
        repo: &str,
        tag: &str,
        message: &str,
        changes: &[String],
        platform: Option<&str>,
        body: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + Sync + 'static,
    ) -> Result<JsonStream<JsonMessage>> {
        let mut query = Query::new()
            .text("fromSrc", source)
            .text("repo", repo)
            .text("tag", tag)
            .text("message", message)
            .optional("platform", platform);
        for change in changes {
            query = query.text("changes", change);
        }
        let response = self
            .send(Method::POST, "/images/create", query, Vec::new(), Some(tar(body)))
            .await?;
        Ok(JsonStream::new(response.into_body(), "import"))
    }
    pub async fn image_load(
        &self,
        quiet: bool,
        body: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + Sync + 'static,
    ) -> Result<JsonStream<JsonMessage>> {
        let query = Query::new().text("quiet", if quiet { "1" } else { "0" });
        let response = self
            .send(Method::POST, "/images/load", query, Vec::new(), Some(tar(body)))
            .await?;
        Ok(JsonStream::new(response.into_body(), "load"))
    }
    /// A tar of the images.
    pub async fn image_save(&self, names: &[String]) -> Result<Bytes> {
        let query = names
            .iter()
            .fold(Query::new(), |query, name| query.text("names", name));
        self.bytes("/images/get", query).await
    }
    pub async fn image_tag(&self, name: &str, repo: &str, tag: &str) -> Result<()> {
        self.order(
            Method::POST,
            &of(name, "/tag"),
            Query::new().text("repo", repo).text("tag", tag),
        )
        .await
    }
    pub async fn image_remove(
        &self,
        name: &str,
        force: bool,
        no_prune: bool,
    ) -> Result<Vec<ImageDeleteItem>> {
        let query = Query::new().flag("force", force).flag("noprune", no_prune);
        self.read(Method::DELETE, &of(name, ""), query, None).await
    }
    pub async fn image_prune(&self, filters: &Filters) -> Result<ImagePruneReport> {
        self.read(Method::POST, "/images/prune", Query::new().filters(filters), None)
            .await
    }
    pub async fn image_push(
        &self,
        name: &str,
        tag: &str,
        auth: Option<&AuthConfig>,
    ) -> Result<JsonStream<JsonMessage>> {
        let mut headers = auth_header(auth);
        if headers.is_empty() {
            // A push without this header is refused by older engines.
            headers.push(("x-registry-auth", encode_auth(&AuthConfig::default())));
        }
        let tag = Some(tag).filter(|tag| !tag.is_empty());
        let response = self
            .send(
                Method::POST,
                &of(name, "/push"),
                Query::new().optional("tag", tag),
                headers,
                None,
            )
            .await?;
        Ok(JsonStream::new(response.into_body(), "push"))
    }
    pub async fn distribution_inspect(&self, name: &str) -> Result<DistributionInspect> {
        self.get(&format!("/distribution/{}/json", segment(name)), Query::new())
            .await
    }
}
