//! `/secrets` and `/configs`, which differ in their specs only.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::params::Params;
use crate::reply::{self, Answer};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use shoal_api_types::swarm::{ConfigSpec, SecretSpec};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/secrets", get(secrets))
        .route("/secrets/create", post(create_secret))
        .route("/secrets/{id}", get(secret).delete(remove_secret))
        .route("/secrets/{id}/update", post(update_secret))
        .route("/configs", get(configs))
        .route("/configs/create", post(create_config))
        .route("/configs/{id}", get(config).delete(remove_config))
        .route("/configs/{id}/update", post(update_config))
}

async fn secrets(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::SECRETS)?;
    Ok(reply::json(&api.swarm.secrets(filters).await?))
}

async fn secret(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::json(&api.swarm.secret(&id).await?))
}

async fn create_secret(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let spec: SecretSpec = body::json(&headers, body).await?;
    let id = api.swarm.create_secret(spec).await?;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "ID": id })))
}

async fn update_secret(
    State(api): Api,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let spec: SecretSpec = body::json(&headers, body).await?;
    api.swarm
        .update_secret(&id, params.version("secret")?, spec)
        .await?;
    Ok(reply::ok())
}

async fn remove_secret(State(api): Api, Path(id): Path<String>) -> Answer {
    api.swarm.remove_secret(&id).await?;
    Ok(reply::no_content())
}

async fn configs(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::CONFIGS)?;
    Ok(reply::json(&api.swarm.configs(filters).await?))
}

async fn config(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::json(&api.swarm.config(&id).await?))
}

async fn create_config(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let spec: ConfigSpec = body::json(&headers, body).await?;
    let id = api.swarm.create_config(spec).await?;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "ID": id })))
}

async fn update_config(
    State(api): Api,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let spec: ConfigSpec = body::json(&headers, body).await?;
    api.swarm
        .update_config(&id, params.version("config")?, spec)
        .await?;
    Ok(reply::ok())
}

async fn remove_config(State(api): Api, Path(id): Path<String>) -> Answer {
    api.swarm.remove_config(&id).await?;
    Ok(reply::no_content())
}
