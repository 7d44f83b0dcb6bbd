//! `/swarm/networks`: the cluster's networks alone. Docker has no such path; nodes ask each other by it, and whoever asks
//! `/networks` sees both kinds.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::params::Params;
use crate::reply::{self, Answer};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_types::network::NetworkCreateRequest;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/swarm/networks", get(list))
        .route("/swarm/networks/create", post(create))
        .route("/swarm/doctor", get(examine))
        .route("/swarm/networks/{id}", get(inspect).delete(remove))
}

async fn list(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::NETWORKS)?;
    Ok(reply::json(&api.swarm.networks(filters).await?))
}

async fn examine(State(api): Api) -> Answer {
    Ok(reply::json(&api.swarm.examine_networks().await?))
}

async fn inspect(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    Ok(reply::json(
        &api.swarm.network(&id, params.flag("verbose")).await?,
    ))
}

async fn create(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let request: NetworkCreateRequest = body::json(&headers, body).await?;
    let created = api.swarm.create_network(request).await?;
    Ok(reply::json_with(StatusCode::CREATED, &created))
}

async fn remove(State(api): Api, Path(id): Path<String>) -> Answer {
    api.swarm.remove_network(&id).await?;
    Ok(reply::no_content())
}
