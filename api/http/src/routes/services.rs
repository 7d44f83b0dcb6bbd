//! `/services` and `/tasks`.

use super::streams::{log_options, log_reply};
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
use shoal_api_backend::UpdateService;
use shoal_api_types::swarm::ServiceSpec;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/services", get(list))
        .route("/services/create", post(create))
        .route("/services/{id}", get(inspect).delete(remove))
        .route("/services/{id}/update", post(update))
        .route("/services/{id}/logs", get(logs))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task))
        .route("/tasks/{id}/logs", get(task_logs))
}

async fn list(State(api): Api, Version(version): Version, params: Params) -> Answer {
    let filters = filters::read(&params, filters::SERVICES)?;
    let status = version.at_least(41) && params.flag("status");
    Ok(reply::json(&api.swarm.services(filters, status).await?))
}

async fn inspect(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    Ok(reply::json(
        &api.swarm.service(&id, params.flag("insertDefaults")).await?,
    ))
}

async fn create(State(api): Api, Version(version): Version, headers: HeaderMap, body: Body) -> Answer {
    let mut spec: ServiceSpec = body::json(&headers, body).await?;
    gates::service(&mut spec, version);
    let auth = body::registry_auth_raw(&headers);
    let created = api
        .swarm
        .create_service(spec, auth, !version.at_least(30))
        .await?;
    Ok(reply::json_with(StatusCode::CREATED, &created))
}

async fn update(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut spec: ServiceSpec = body::json(&headers, body).await?;
    gates::service(&mut spec, version);
    let options = UpdateService {
        version: params.version("service")?,
        registry_auth: body::registry_auth_raw(&headers),
        registry_auth_from: params.get("registryAuthFrom").to_owned(),
        rollback: params.get("rollback").to_owned(),
        query_registry: !version.at_least(30),
    };
    Ok(reply::json(&api.swarm.update_service(&id, options, spec).await?))
}

async fn remove(State(api): Api, Path(id): Path<String>) -> Answer {
    api.swarm.remove_service(&id).await?;
    Ok(reply::ok())
}

async fn logs(State(api): Api, Version(version): Version, Path(id): Path<String>, params: Params) -> Answer {
    let log = api.swarm.service_logs(&id, log_options(&params)?).await?;
    Ok(log_reply(log, version))
}

async fn tasks(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::TASKS)?;
    Ok(reply::json(&api.swarm.tasks(filters).await?))
}

async fn task(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::json(&api.swarm.task(&id).await?))
}

async fn task_logs(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let log = api.swarm.task_logs(&id, log_options(&params)?).await?;
    Ok(log_reply(log, version))
}
