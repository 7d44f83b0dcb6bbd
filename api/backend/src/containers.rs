//! Containers.

use crate::error::{Error, Result};
use crate::listed::Listed;
use crate::stream::{Attached, BoxStream};
use async_trait::async_trait;
use bytes::Bytes;
use shoal_api_types::container::*;
use shoal_api_types::image::OciPlatform;
use shoal_api_types::{Filters, Timestamp};
use std::sync::Arc;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateContainer {
    /// As given, with or without a leading slash; empty makes one up.
    pub name: String,
    pub platform: Option<OciPlatform>,
    pub request: CreateRequest,
    /// The container of a cluster's task, which comes with its places on networks. No client can say so.
    pub of_task: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListContainers {
    pub all: bool,
    /// 0 is no limit; a positive one implies `all`.
    pub limit: usize,
    pub size: bool,
    pub filters: Filters,
}

/// Timeouts in seconds; None is the container's own, -1 waits for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopContainer {
    pub signal: Option<String>,
    pub timeout: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveContainer {
    /// Anonymous volumes too.
    pub volumes: bool,
    pub force: bool,
    pub link: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    #[default]
    NotRunning,
    NextExit,
    Removed,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub timestamps: bool,
    pub details: bool,
    /// None is all.
    pub tail: Option<u64>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Lines that lie next to each other may share a frame: the client only copies what is in frames to its own output.
    pub joined: bool,
}

/// A log. `frames` yields bytes as the client is to get them: raw with a terminal, else in Docker's 8-byte frames.
pub struct LogStream {
    pub tty: bool,
    pub frames: BoxStream<Result<Bytes>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attach {
    /// Replay the log first.
    pub logs: bool,
    /// Then follow.
    pub stream: bool,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub detach_keys: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TerminalSize {
    pub height: u16,
    pub width: u16,
}

/// Where `PUT /archive` unpacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutArchive {
    pub path: String,
    pub no_overwrite_dir_non_dir: bool,
    pub copy_uid_gid: bool,
}

/// An image from a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommitContainer {
    pub container: String,
    /// Empty for no name.
    pub repo: String,
    pub tag: String,
    pub comment: String,
    pub author: String,
    /// Nothing runs in it meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Instead of the container's own; what it leaves out still comes from there.
    pub config: Option<Config>,
}

/// Everything about containers but exec. `id` is an id, an unambiguous prefix of one, or a name.
#[async_trait]
pub trait Containers: Send + Sync + 'static {
    async fn create(&self, request: CreateContainer) -> Result<CreateResponse>;
    async fn list(&self, options: ListContainers) -> Result<Vec<Arc<Listed>>>;
    async fn inspect(&self, id: &str, size: bool) -> Result<ContainerInspect>;
    /// Not modified when it runs already.
    async fn start(&self, id: &str) -> Result<()>;
    /// Not modified when it does not run.
    async fn stop(&self, id: &str, options: StopContainer) -> Result<()>;
    async fn restart(&self, id: &str, options: StopContainer) -> Result<()>;
    /// `signal` is a name with or without `SIG`, or a number; empty is KILL.
    async fn kill(&self, id: &str, signal: &str) -> Result<()>;
    async fn pause(&self, id: &str) -> Result<()>;
    async fn unpause(&self, id: &str) -> Result<()>;
    async fn rename(&self, id: &str, name: &str) -> Result<()>;
    async fn remove(&self, id: &str, options: RemoveContainer) -> Result<()>;
    /// Resolves `id` and registers for the condition before it returns; the stream yields the one answer. (The header of
    /// the reply goes out between the two: `docker run` waits before it starts.)
    async fn wait(&self, id: &str, condition: WaitCondition) -> Result<BoxStream<Result<WaitResponse>>>;
    async fn logs(&self, id: &str, options: Logs) -> Result<LogStream>;
    async fn attach(&self, id: &str, options: Attach) -> Result<Attached>;
    async fn resize(&self, id: &str, size: TerminalSize) -> Result<()>;
    async fn top(&self, id: &str, ps_args: &str) -> Result<TopResponse>;
    async fn prune(&self, filters: Filters) -> Result<PruneReport>;

    async fn update(&self, id: &str, config: UpdateConfig) -> Result<UpdateResponse> {
        let _ = (id, config);
        Err(Error::not_implemented("updating a container"))
    }
    async fn changes(&self, id: &str) -> Result<Vec<FilesystemChange>> {
        let _ = id;
        Err(Error::not_implemented("listing a container's changes"))
    }
    /// The new image's id.
    async fn commit(&self, request: CommitContainer) -> Result<String> {
        let _ = request;
        Err(Error::not_implemented("making an image of a container"))
    }
    /// A tar of the whole file system.
    async fn export(&self, id: &str) -> Result<BoxStream<Result<Bytes>>> {
        let _ = id;
        Err(Error::not_implemented("exporting a container"))
    }
    async fn archive_stat(&self, id: &str, path: &str) -> Result<PathStat> {
        let _ = (id, path);
        Err(Error::not_implemented("copying from a container"))
    }
    /// A tar of `path`.
    async fn archive_get(&self, id: &str, path: &str) -> Result<(PathStat, BoxStream<Result<Bytes>>)> {
        let _ = (id, path);
        Err(Error::not_implemented("copying from a container"))
    }
    async fn archive_put(&self, id: &str, options: PutArchive, tar: BoxStream<Result<Bytes>>) -> Result<()> {
        let _ = (id, options, tar);
        Err(Error::not_implemented("copying into a container"))
    }
    /// One sample a second, or one when `stream` is off; `one_shot` does not wait for a second reading.
    async fn stats(&self, id: &str, stream: bool, one_shot: bool) -> Result<BoxStream<Result<Stats>>> {
        let _ = (id, stream, one_shot);
        Err(Error::not_implemented("container statistics"))
    }
}
