//! The verbs as the contract names them.

use super::Containers;
use crate::error::Result;
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_backend::*;
use shoal_api_types::Filters;
use shoal_api_types::container::*;
use std::sync::Arc;

impl Containers {
    /// Counts how long it takes, for who measures.
    async fn timed<T>(&self, action: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.kit.events.figures().timed(action, work).await
    }
}

#[async_trait]
impl api::Containers for Containers {
    async fn create(&self, request: CreateContainer) -> Result<CreateResponse> {
        self.timed("create", Containers::create(self, request)).await
    }
    async fn list(&self, options: ListContainers) -> Result<Vec<Arc<Listed>>> {
        Containers::list(self, options).await
    }
    async fn inspect(&self, id: &str, size: bool) -> Result<ContainerInspect> {
        Containers::inspect(self, id, size).await
    }
    async fn start(&self, id: &str) -> Result<()> {
        self.timed("start", Containers::start(self, id)).await
    }
    async fn stop(&self, id: &str, options: StopContainer) -> Result<()> {
        Containers::stop(self, id, options).await
    }
    async fn restart(&self, id: &str, options: StopContainer) -> Result<()> {
        Containers::restart(self, id, options).await
    }
    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        Containers::kill(self, id, signal).await
    }
    async fn pause(&self, id: &str) -> Result<()> {
        Containers::pause(self, id).await
    }
    async fn unpause(&self, id: &str) -> Result<()> {
        Containers::unpause(self, id).await
    }
    async fn rename(&self, id: &str, name: &str) -> Result<()> {
        Containers::rename(self, id, name).await
    }
    async fn remove(&self, id: &str, options: RemoveContainer) -> Result<()> {
        self.timed("delete", Containers::remove(self, id, options)).await
    }
    async fn wait(&self, id: &str, condition: WaitCondition) -> Result<BoxStream<Result<WaitResponse>>> {
        Containers::wait(self, id, condition).await
    }
    async fn logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        Containers::logs(self, id, options).await
    }
    async fn attach(&self, id: &str, options: Attach) -> Result<Attached> {
        Containers::attach(self, id, options).await
    }
    async fn resize(&self, id: &str, size: TerminalSize) -> Result<()> {
        Containers::resize(self, id, size).await
    }
    async fn top(&self, id: &str, ps_args: &str) -> Result<TopResponse> {
        Containers::top(self, id, ps_args).await
    }
    async fn prune(&self, filters: Filters) -> Result<PruneReport> {
        Containers::prune(self, filters).await
    }
    async fn update(&self, id: &str, config: UpdateConfig) -> Result<UpdateResponse> {
        Containers::update(self, id, config).await
    }
    async fn changes(&self, id: &str) -> Result<Vec<FilesystemChange>> {
        Containers::changes(self, id).await
    }
    async fn commit(&self, request: CommitContainer) -> Result<String> {
        Containers::commit(self, request).await
    }
    async fn export(&self, id: &str) -> Result<BoxStream<Result<Bytes>>> {
        Containers::export(self, id).await
    }
    async fn archive_stat(&self, id: &str, path: &str) -> Result<PathStat> {
        Containers::archive_stat(self, id, path).await
    }
    async fn archive_get(&self, id: &str, path: &str) -> Result<(PathStat, BoxStream<Result<Bytes>>)> {
        Containers::archive_get(self, id, path).await
    }
    async fn archive_put(&self, id: &str, options: PutArchive, tar: BoxStream<Result<Bytes>>) -> Result<()> {
        Containers::archive_put(self, id, options, tar).await
    }
    async fn stats(&self, id: &str, stream: bool, one_shot: bool) -> Result<BoxStream<Result<Stats>>> {
        Containers::stats(self, id, stream, one_shot).await
    }
}
