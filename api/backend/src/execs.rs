//! Commands in running containers.

use crate::containers::TerminalSize;
use crate::error::Result;
use crate::stream::Attached;
use async_trait::async_trait;
use shoal_api_types::exec::*;

#[async_trait]
pub trait Execs: Send + Sync + 'static {
    /// Answers the exec's id.
    async fn create(&self, container: &str, request: ExecCreateRequest) -> Result<String>;
    /// Starts in the background.
    async fn start_detached(&self, id: &str, request: ExecStartRequest) -> Result<()>;
    /// Starts and hands over its input and output.
    async fn start(&self, id: &str, request: ExecStartRequest) -> Result<Attached>;
    async fn resize(&self, id: &str, size: TerminalSize) -> Result<()>;
    async fn inspect(&self, id: &str) -> Result<ExecInspect>;
}
