//! `/networks`.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::gates;
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_backend::Error;
use shoal_api_types::network::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};

/// What Go takes for a bool.
const GO_BOOLS: &[&str] = &[
    "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False",
];

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/networks", get(list))
        .route("/networks/", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/shoal/networks/doctor", get(examine))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

async fn list(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::NETWORKS)?;
    Ok(reply::json(&api.networks.list(filters).await?))
}

async fn examine(State(api): Api, params: Params) -> Answer {
    if params.flag("all") {
        return Ok(reply::json(
            &serde_json::json!({ "Nodes": api.networks.examine_all().await? }),
        ));
    }
    Ok(reply::json(
        &serde_json::json!({ "Differences": api.networks.examine().await? }),
    ))
}

async fn inspect(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    let verbose = params.get("verbose");
    if !verbose.is_empty() && !GO_BOOLS.contains(&verbose) {
        let reason = format!("strconv.ParseBool: parsing {verbose:?}: invalid syntax");
        return Err(Error::invalid(format!("invalid value for verbose: {verbose}: {reason}")).into());
    }
    Ok(reply::json(
        &api.networks
            .inspect(&id, params.flag("verbose"), params.get("scope"))
            .await?,
    ))
}

async fn create(State(api): Api, Version(version): Version, headers: HeaderMap, body: Body) -> Answer {
    let mut request: NetworkCreateRequest = body::json_or_default(&headers, body).await?;
    gates::network(&mut request, version);
    Ok(reply::json_with(
        StatusCode::CREATED,
        &api.networks.create(request).await?,
    ))
}

async fn remove(State(api): Api, Path(id): Path<String>) -> Answer {
    api.networks.remove(&id).await?;
    Ok(reply::no_content())
}

async fn connect(State(api): Api, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let request: NetworkConnectRequest = body::json_or_default(&headers, body).await?;
    named(&request.container)?;
    api.networks.connect(&id, request).await?;
    Ok(reply::ok())
}

async fn disconnect(State(api): Api, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let request: NetworkDisconnectRequest = body::json_or_default(&headers, body).await?;
    named(&request.container)?;
    api.networks.disconnect(&id, request).await?;
    Ok(reply::ok())
}

fn named(container: &str) -> Result<(), Error> {
    match container.is_empty() {
        true => Err(Error::invalid("invalid name or ID supplied: \"\"")),
        false => Ok(()),
    }
}

async fn prune(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::PRUNE)?;
    Ok(reply::json(&api.networks.prune(filters).await?))
}
