//! The routes, one file per resource: each reads parameters, calls one action of a backend and renders its answer.

mod build;
mod cluster_networks;
mod containers;
mod execs;
mod images;
mod networks;
mod nodes;
mod secrets;
mod services;
mod streams;
mod swarm;
mod system;
mod volumes;

use crate::backends::Backends;
use crate::reply;
use axum::Router;
use axum::extract::State;
use std::sync::Arc;

/// What handlers are given.
pub(crate) type Api = State<Arc<Backends>>;

pub(crate) fn all(backends: Arc<Backends>) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(containers::routes())
        .merge(streams::routes())
        .merge(execs::routes())
        .merge(images::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .merge(swarm::routes())
        .merge(cluster_networks::routes())
        .merge(nodes::routes())
        .merge(services::routes())
        .merge(secrets::routes())
        .merge(build::routes())
        .fallback(async || reply::page_not_found())
        .method_not_allowed_fallback(async || reply::page_not_found())
        .with_state(backends)
}

pub(crate) type Routes = Router<Arc<Backends>>;
