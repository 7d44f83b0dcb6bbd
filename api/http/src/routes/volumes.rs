//! `/volumes`.

use super::{Api, Routes};
use crate::body;
use crate::filters::{self, VOLUMES};
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_backend::Error;
use shoal_api_types::volume::VolumeCreateRequest;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove).put(update))
}

async fn list(State(api): Api, params: Params) -> Answer {
    let filters =
        filters::any(&params).map_err(|_| Error::invalid("error reading volume filters: invalid filter"))?;
    if let Some(key) = filters.unknown_key(VOLUMES) {
        return Err(Error::invalid(format!("invalid filter '{key}'")).into());
    }
    Ok(reply::json(&api.volumes.list(filters).await?))
}

async fn inspect(State(api): Api, Path(name): Path<String>) -> Answer {
    Ok(reply::json(&api.volumes.inspect(&name).await?))
}

async fn create(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let request: VolumeCreateRequest = body::json_or_default(&headers, body).await?;
    if request.cluster_volume_spec.is_some() {
        // There are no cluster volumes here; the words are Docker's of a node that is no manager.
        return Err(Error::unavailable(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        )
        .into());
    }
    Ok(reply::json_with(
        StatusCode::CREATED,
        &api.volumes.create(request).await?,
    ))
}

async fn remove(State(api): Api, Path(name): Path<String>, params: Params) -> Answer {
    api.volumes.remove(&name, params.flag("force")).await?;
    Ok(reply::no_content())
}

async fn update(Path(_): Path<String>) -> Answer {
    Err(Error::unavailable("volume update only valid for cluster volumes, but swarm is unavailable").into())
}

async fn prune(State(api): Api, Version(version): Version, params: Params) -> Answer {
    let mut filters = filters::read(&params, filters::PRUNE_VOLUMES)?;
    if !version.at_least(42) {
        // Named volumes were pruned too until then.
        filters.add("all", "true");
    }
    Ok(reply::json(&api.volumes.prune(filters).await?))
}
