//! The engine as a whole.

use crate::error::{Error, Result};
use crate::stream::BoxStream;
use async_trait::async_trait;
use shoal_api_types::auth::*;
use shoal_api_types::event::EventMessage;
use shoal_api_types::system::*;
use shoal_api_types::{Filters, Timestamp};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events {
    pub since: Option<Timestamp>,
    /// The stream ends then.
    pub until: Option<Timestamp>,
    pub filters: Filters,
}

/// What `df` is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MeasureUsage {
    pub containers: bool,
    pub images: bool,
    pub volumes: bool,
    pub build_cache: bool,
}

/// What every reply says in its headers; cheap, asked once per request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ping {
    /// The engine's version, as in `Server: Docker/<version> (linux)`.
    pub version: String,
    pub experimental: bool,
    /// `Swarm` header of `_ping`: `inactive`, `pending`, `error`, `locked`, `active/worker` or `active/manager`.
    pub swarm: String,
}

#[async_trait]
pub trait System: Send + Sync + 'static {
    /// Never blocks: it is asked for every request.
    fn ping(&self) -> Ping;
    async fn version(&self) -> Result<Version>;
    /// Without the `Swarm` member, which [`crate::Swarm::info`] gives.
    async fn info(&self) -> Result<Info>;
    /// Subscribed when this returns; slow readers are told so by an error, never silently short of events.
    async fn events(&self, options: Events) -> Result<BoxStream<Result<EventMessage>>>;
    async fn disk_usage(&self, what: MeasureUsage) -> Result<DiskUsage>;
    async fn auth(&self, auth: AuthConfig) -> Result<AuthResponse> {
        let _ = auth;
        Err(Error::not_implemented("logging in to a registry"))
    }
}
