//! `/containers` and `/exec`.

use crate::call::{Client, Query, segment, tar};
use crate::error::Result;
use crate::hijack::Hijacked;
use crate::stream::{Bytes, JsonStream};
use futures_util::Stream;
use http::Method;
use shoal_api_types::Filters;
use shoal_api_types::container::*;
use shoal_api_types::exec::*;
use shoal_api_types::message::IdResponse;

/// What of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub timestamps: bool,
    pub details: bool,
    /// A number or `all`; empty is all.
    pub tail: String,
    /// Unix seconds with a fraction, or RFC 3339.
    pub since: String,
    pub until: String,
}

impl LogOptions {
    pub(crate) fn query(&self) -> Query {
        let optional = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Query::new()
            .flag("stdout", self.stdout)
            .flag("stderr", self.stderr)
            .flag("follow", self.follow)
            .flag("timestamps", self.timestamps)
            .flag("details", self.details)
            .optional("tail", optional(&self.tail))
            .optional("since", optional(&self.since))
            .optional("until", optional(&self.until))
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachOptions {
    pub stream: bool,
    pub logs: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub detach_keys: Option<String>,
}

fn of(id: &str, what: &str) -> String {
    format!("/containers/{}{what}", segment(id))
}

impl Client {
    pub async fn container_create(
        &self,
        name: &str,
        platform: Option<&str>,
        request: &CreateRequest,
    ) -> Result<CreateResponse> {
        let name = Some(name).filter(|name| !name.is_empty());
        let query = Query::new().optional("name", name).optional("platform", platform);
        self.post("/containers/create", query, request).await
    }
    /// `limit` 0 is no limit.
    pub async fn container_list(
        &self,
        all: bool,
        limit: usize,
        size: bool,
        filters: &Filters,
    ) -> Result<Vec<ContainerSummary>> {
        let limit = Some(limit).filter(|limit| *limit > 0);
        let query = Query::new()
            .flag("all", all)
            .flag("size", size)
            .optional("limit", limit)
            .filters(filters);
        self.get("/containers/json", query).await
    }
    pub async fn container_inspect(&self, id: &str, size: bool) -> Result<ContainerInspect> {
        self.get(&of(id, "/json"), Query::new().flag("size", size)).await
    }
    /// As the engine wrote it, with members that are unknown here.
    pub async fn container_inspect_raw(&self, id: &str, size: bool) -> Result<serde_json::Value> {
        self.get(&of(id, "/json"), Query::new().flag("size", size)).await
    }
    pub async fn container_start(&self, id: &str, detach_keys: Option<&str>) -> Result<()> {
        self.order(
            Method::POST,
            &of(id, "/start"),
            Query::new().optional("detachKeys", detach_keys),
        )
        .await
    }
    /// `timeout` in seconds.
    pub async fn container_stop(&self, id: &str, signal: Option<&str>, timeout: Option<i64>) -> Result<()> {
        let query = Query::new().optional("signal", signal).optional("t", timeout);
        self.order(Method::POST, &of(id, "/stop"), query).await
    }
    pub async fn container_restart(
        &self,
        id: &str,
        signal: Option<&str>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let query = Query::new().optional("signal", signal).optional("t", timeout);
        self.order(Method::POST, &of(id, "/restart"), query).await
    }
    pub async fn container_kill(&self, id: &str, signal: &str) -> Result<()> {
        let signal = Some(signal).filter(|signal| !signal.is_empty());
        self.order(
            Method::POST,
            &of(id, "/kill"),
            Query::new().optional("signal", signal),
        )
        .await
    }
    pub async fn container_pause(&self, id: &str) -> Result<()> {
        self.order(Method::POST, &of(id, "/pause"), Query::new()).await
    }
    pub async fn container_unpause(&self, id: &str) -> Result<()> {
        self.order(Method::POST, &of(id, "/unpause"), Query::new()).await
    }
    pub async fn container_rename(&self, id: &str, name: &str) -> Result<()> {
        self.order(Method::POST, &of(id, "/rename"), Query::new().text("name", name))
            .await
    }
    pub async fn container_remove(&self, id: &str, volumes: bool, force: bool, link: bool) -> Result<()> {
        let query = Query::new()
            .flag("v", volumes)
            .flag("force", force)
            .flag("link", link);
        self.order(Method::DELETE, &of(id, ""), query).await
    }
    /// Registered when this returns; the stream yields the one answer. `condition`: `not-running`, `next-exit`, `removed`.
    pub async fn container_wait(&self, id: &str, condition: &str) -> Result<JsonStream<WaitResponse>> {
        let condition = Some(condition).filter(|condition| !condition.is_empty());
        let query = Query::new().optional("condition", condition);
        let response = self
            .send(Method::POST, &of(id, "/wait"), query, Vec::new(), None)
            .await?;
        Ok(JsonStream::new(response.into_body(), "wait"))
    }
    pub async fn container_logs(&self, id: &str, options: &LogOptions) -> Result<Bytes> {
        self.bytes(&of(id, "/logs"), options.query()).await
    }
    pub async fn container_attach(&self, id: &str, options: &AttachOptions) -> Result<Hijacked> {
        let query = Query::new()
            .flag("stream", options.stream)
            .flag("logs", options.logs)
            .flag("stdin", options.stdin)
            .flag("stdout", options.stdout)
            .flag("stderr", options.stderr)
            .optional("detachKeys", options.detach_keys.as_deref());
        self.hijack(&of(id, "/attach"), query, None::<&()>).await
    }
    pub async fn container_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let query = Query::new()
            .text("h", height.to_string())
            .text("w", width.to_string());
        self.order(Method::POST, &of(id, "/resize"), query).await
    }
    pub async fn container_top(&self, id: &str, ps_args: &str) -> Result<TopResponse> {
        let args = Some(ps_args).filter(|args| !args.is_empty());
        self.get(&of(id, "/top"), Query::new().optional("ps_args", args))
            .await
    }
    pub async fn container_changes(&self, id: &str) -> Result<Vec<FilesystemChange>> {
        Ok(self
            .get::<Option<_>>(&of(id, "/changes"), Query::new())
            .await?
            .unwrap_or_default())
    }
    pub async fn container_stats(&self, id: &str, stream: bool) -> Result<JsonStream<Stats>> {
        let query = Query::new().text("stream", if stream { "1" } else { "0" });
        let response = self
            .send(Method::GET, &of(id, "/stats"), query, Vec::new(), None)
            .await?;
        Ok(JsonStream::new(response.into_body(), "stats"))
    }
    pub async fn container_update(&self, id: &str, config: &UpdateConfig) -> Result<UpdateResponse> {
        self.post(&of(id, "/update"), Query::new(), config).await
    }
    pub async fn container_prune(&self, filters: &Filters) -> Result<PruneReport> {
        self.read(
            Method::POST,
            "/containers/prune",
            Query::new().filters(filters),
            None,
        )
        .await
    }
    pub async fn container_export(&self, id: &str) -> Result<Bytes> {
        self.bytes(&of(id, "/export"), Query::new()).await
    }
    /// A tar of `path` in the container.
    pub async fn container_archive_get(&self, id: &str, path: &str) -> Result<Bytes> {
        self.bytes(&of(id, "/archive"), Query::new().text("path", path))
            .await
    }
    /// Unpacks a tar at `path` in the container.
    pub async fn container_archive_put(
        &self,
        id: &str,
        path: &str,
        chunks: impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + Sync + 'static,
    ) -> Result<()> {
        let query = Query::new().text("path", path);
        self.send(
            Method::PUT,
            &of(id, "/archive"),
            query,
            Vec::new(),
            Some(tar(chunks)),
        )
        .await
        .map(drop)
    }

    /// Answers the exec's id.
    pub async fn exec_create(&self, container: &str, request: &ExecCreateRequest) -> Result<String> {
        let created: IdResponse = self.post(&of(container, "/exec"), Query::new(), request).await?;
        Ok(created.id)
    }
    pub async fn exec_start_detached(&self, id: &str, tty: bool) -> Result<()> {
        let request = ExecStartRequest {
            detach: true,
            tty,
            console_size: None,
        };
        self.order_json(&format!("/exec/{}/start", segment(id)), Query::new(), &request)
            .await
    }
    pub async fn exec_start(&self, id: &str, request: &ExecStartRequest) -> Result<Hijacked> {
        self.hijack(
            &format!("/exec/{}/start", segment(id)),
            Query::new(),
            Some(request),
        )
        .await
    }
    pub async fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let query = Query::new()
            .text("h", height.to_string())
            .text("w", width.to_string());
        self.order(Method::POST, &format!("/exec/{}/resize", segment(id)), query)
            .await
    }
    pub async fn exec_inspect(&self, id: &str) -> Result<ExecInspect> {
        self.get(&format!("/exec/{}/json", segment(id)), Query::new())
            .await
    }

    pub(crate) async fn bytes(&self, path: &str, query: Query) -> Result<Bytes> {
        Ok(Bytes::new(
            self.send(Method::GET, path, query, Vec::new(), None).await?,
        ))
    }
}
