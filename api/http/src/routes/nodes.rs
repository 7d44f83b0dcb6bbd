//! `/nodes`.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::params::Params;
use crate::reply::{self, Answer};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::HeaderMap;
use shoal_api_types::swarm::NodeSpec;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/nodes", get(list))
        .route("/nodes/{id}", get(inspect).delete(remove))
        .route("/nodes/{id}/update", post(update))
}

async fn list(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::NODES)?;
    Ok(reply::json(&api.swarm.nodes(filters).await?))
}

async fn inspect(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::json(&api.swarm.node(&id).await?))
}

async fn update(
    State(api): Api,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let spec: NodeSpec = body::json(&headers, body).await?;
    api.swarm.update_node(&id, params.version("node")?, spec).await?;
    Ok(reply::ok())
}

async fn remove(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    api.swarm.remove_node(&id, params.flag("force")).await?;
    Ok(reply::ok())
}
