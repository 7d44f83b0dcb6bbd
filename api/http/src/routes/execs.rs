//! `/exec`.

use super::containers::size;
use super::{Api, Routes};
use crate::body;
use crate::gates;
use crate::hijack::Takeover;
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_backend::Error;
use shoal_api_types::exec::{ExecCreateRequest, ExecStartRequest};
use shoal_api_types::message::IdResponse;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/containers/{id}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/resize", post(resize))
        .route("/exec/{id}/json", get(inspect))
}

async fn create(
    State(api): Api,
    Version(version): Version,
    Path(container): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut request: ExecCreateRequest = body::json(&headers, body).await?;
    gates::exec(&mut request, version);
    if request.cmd.is_empty() {
        return Err(Error::invalid("No exec command specified").into());
    }
    let id = api.execs.create(&container, request).await?;
    Ok(reply::json_with(StatusCode::CREATED, &IdResponse { id }))
}

async fn start(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    mut request: Request,
) -> Answer {
    let headers = std::mem::take(request.headers_mut());
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let mut options: ExecStartRequest = body::json_or_default(&headers, body).await?;
    *request.headers_mut() = headers;
    if !version.at_least(42) {
        options.console_size = None;
    }
    if options.console_size.is_some() && !options.tty && options.console_size != Some([0, 0]) {
        options.console_size = None;
    }
    if options.detach {
        api.execs.start_detached(&id, options).await?;
        return Ok(reply::ok());
    }
    // Whether there is such an exec is said in the status, why it does not start in the stream: clients that ask for an
    // upgrade show only the latter.
    let known = api.execs.inspect(&id).await?;
    let takeover = Takeover::of(&mut request)?;
    let start = async move { api.execs.start(&id, options).await };
    takeover.start(known.process_config.tty, version, start)
}

async fn resize(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    api.execs.resize(&id, size(&params)?).await?;
    Ok(reply::ok())
}

async fn inspect(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::json(&api.execs.inspect(&id).await?))
}
