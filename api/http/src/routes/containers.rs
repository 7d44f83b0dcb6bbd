//! `/containers`: everything that is asked and answered at once. Streams are in `streams`.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::gates;
use crate::params::Params;
use crate::reply::{self, Answer, Failure};
use crate::router::Version;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_backend::{
    ApiVersion, CommitContainer, CreateContainer, Error, ListContainers, RemoveContainer, StopContainer,
    TerminalSize,
};
use shoal_api_types::container::{Config, CreateRequest, UpdateConfig};
use shoal_api_types::message::IdResponse;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/containers/json", get(list))
        .route("/containers/create", post(create))
        .route("/containers/prune", post(prune))
        .route("/containers/{id}", delete(remove))
        .route("/containers/{id}/json", get(inspect))
        .route("/containers/{id}/start", post(start))
        .route("/containers/{id}/stop", post(stop))
        .route("/containers/{id}/restart", post(restart))
        .route("/containers/{id}/kill", post(kill))
        .route("/containers/{id}/pause", post(pause))
        .route("/containers/{id}/unpause", post(unpause))
        .route("/containers/{id}/rename", post(rename))
        .route("/containers/{id}/resize", post(resize))
        .route("/containers/{id}/top", get(top))
        .route("/containers/{id}/changes", get(changes))
        .route("/containers/{id}/update", post(update))
        .route("/commit", post(commit))
}

async fn list(State(api): Api, Version(version): Version, params: Params) -> Answer {
    let filters = filters::read(&params, filters::CONTAINERS)?;
    let limit = usize::try_from(params.int("limit")?.unwrap_or(0)).unwrap_or(0);
    let options = ListContainers {
        all: params.flag("all"),
        limit,
        size: params.flag("size"),
        filters,
    };
    let list = api.containers.list(options).await?;
    let shape = gates::summary_shape(version);
    let texts: Result<Vec<&str>, _> = list
        .iter()
        .map(|one| {
            one.text(shape, |summary| {
                let mut summary = summary.clone();
                gates::summary(&mut summary, shape);
                reply::text(&summary)
            })
        })
        .collect();
    Ok(reply::array(texts))
}

async fn create(
    State(api): Api,
    Version(version): Version,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut request: CreateRequest = body::json(&headers, body).await?;
    // Nobody can tell a list that was not sent from one that is null.
    request.config.on_build = request.config.on_build.filter(|list| !list.is_nil());
    if request == CreateRequest::default() {
        return Err(Error::invalid("config cannot be empty in order to create a container").into());
    }
    let deprecated = gates::create(&mut request, version)?;
    let platform = if version.at_least(41) {
        params.platform()?
    } else {
        None
    };
    let name = params.get("name").to_owned();
    let mut created = api
        .containers
        .create(CreateContainer {
            name,
            platform,
            request,
            of_task: false,
        })
        .await?;
    created.warnings.extend(deprecated.map(str::to_owned));
    Ok(reply::json_with(StatusCode::CREATED, &created))
}

async fn inspect(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let container = api.containers.inspect(&id, params.flag("size")).await?;
    Ok(reply::json(&gates::inspect(container, version)))
}

/// The longest body that says nothing: `null` with some space, as Docker counts.
const NO_BODY_BYTES_MAX: u64 = 7;

async fn start(State(api): Api, Path(id): Path<String>, params: Params, headers: HeaderMap) -> Answer {
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let chunked = headers.contains_key(http::header::TRANSFER_ENCODING);
    if chunked || length.is_some_and(|bytes: u64| bytes > NO_BODY_BYTES_MAX) {
        let text = "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24";
        return Err(Error::invalid(text).into());
    }
    if !params.get("checkpoint").is_empty() {
        return Err(Error::invalid("checkpoint is only supported in experimental mode").into());
    }
    api.containers.start(&id).await?;
    Ok(reply::no_content())
}

async fn stop(State(api): Api, Version(version): Version, Path(id): Path<String>, params: Params) -> Answer {
    api.containers.stop(&id, stop_options(&params, version)?).await?;
    Ok(reply::no_content())
}

async fn restart(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    api.containers
        .restart(&id, stop_options(&params, version)?)
        .await?;
    Ok(reply::no_content())
}

fn stop_options(params: &Params, version: ApiVersion) -> Result<StopContainer, Failure> {
    let signal = if version.at_least(42) {
        params.text("signal")
    } else {
        None
    };
    Ok(StopContainer {
        signal,
        timeout: params.int("t")?,
    })
}

async fn kill(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    api.containers.kill(&id, params.get("signal")).await?;
    Ok(reply::no_content())
}

async fn pause(State(api): Api, Path(id): Path<String>) -> Answer {
    api.containers.pause(&id).await?;
    Ok(reply::no_content())
}

async fn unpause(State(api): Api, Path(id): Path<String>) -> Answer {
    api.containers.unpause(&id).await?;
    Ok(reply::no_content())
}

async fn rename(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    api.containers.rename(&id, params.get("name")).await?;
    Ok(reply::no_content())
}

async fn remove(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    let options = RemoveContainer {
        volumes: params.flag("v"),
        force: params.flag("force"),
        link: params.flag("link"),
    };
    api.containers.remove(&id, options).await?;
    Ok(reply::no_content())
}

async fn resize(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    api.containers.resize(&id, size(&params)?).await?;
    Ok(reply::ok())
}

/// `h` and `w`, both needed.
pub(super) fn size(params: &Params) -> Result<TerminalSize, Failure> {
    let read = |key: &str, name: &str| {
        let text = params.get(key);
        match text.parse::<u32>() {
            Ok(number) => u16::try_from(number).map_err(|_| {
                Failure(Error::invalid(format!(
                    "invalid resize {name} \"{text}\": value out of range"
                )))
            }),
            Err(_) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let why = if number {
                    "value out of range"
                } else {
                    "invalid syntax"
                };
                Err(Failure(Error::invalid(format!(
                    "invalid resize {name} \"{text}\": {why}"
                ))))
            }
        }
    };
    Ok(TerminalSize {
        height: read("h", "height")?,
        width: read("w", "width")?,
    })
}

async fn top(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    Ok(reply::json(
        &api.containers.top(&id, params.get("ps_args")).await?,
    ))
}

async fn changes(State(api): Api, Path(id): Path<String>) -> Answer {
    let changes = api.containers.changes(&id).await?;
    // None at all is no list, in Go.
    Ok(reply::json(&Some(changes).filter(|list| !list.is_empty())))
}

async fn update(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let mut config: UpdateConfig = body::json(&headers, body).await?;
    if version.at_least(42) {
        config.resources.kernel_memory = 0;
    }
    gates::old_pids_limit(&mut config.resources, version);
    Ok(reply::json(&api.containers.update(&id, config).await?))
}

async fn prune(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::PRUNE)?;
    Ok(reply::json(&api.containers.prune(filters).await?))
}

async fn commit(State(api): Api, params: Params, headers: HeaderMap, body: Body) -> Answer {
    let config: Option<Config> = body::json_or_default(&headers, body).await?;
    let request = CommitContainer {
        container: params.get("container").to_owned(),
        repo: params.get("repo").to_owned(),
        tag: params.get("tag").to_owned(),
        comment: params.get("comment").to_owned(),
        author: params.get("author").to_owned(),
        pause: params.flag_or("pause", true),
        changes: params.all("changes").map(str::to_owned).collect(),
        config,
    };
    let id = api.containers.commit(request).await?;
    Ok(reply::json_with(StatusCode::CREATED, &IdResponse { id }))
}
