//! `/containers`: wait, logs, attach, stats, export, archive.

use super::{Api, Routes};
use crate::body;
use crate::connection::Origin;
use crate::hijack::{Takeover, content_type};
use crate::params::Params;
use crate::reply::{self, Answer, Failure};
use crate::router::Version;
use crate::websocket::Handshake;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use shoal_api_backend::{Attach, Error, LogStream, Logs, PutArchive, WaitCondition};
use shoal_api_types::container::{PathStat, WaitExitError, WaitResponse};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/containers/{id}/wait", post(wait))
        .route("/containers/{id}/logs", get(logs))
        .route("/containers/{id}/attach", post(attach))
        .route("/containers/{id}/attach/ws", get(attach_websocket))
        .route("/containers/{id}/stats", get(stats))
        .route("/containers/{id}/export", get(export))
        .route(
            "/containers/{id}/archive",
            get(archive_get).head(archive_head).put(archive_put),
        )
}

/// The header goes out once the wait is registered, the body when it is over: `docker run` starts the container in between.
async fn wait(State(api): Api, Version(version): Version, Path(id): Path<String>, params: Params) -> Answer {
    let condition = match params.get("condition") {
        _ if !version.at_least(30) => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Error::invalid(format!("invalid condition: \"{other}\"")).into()),
    };
    let ended = api.containers.wait(&id, condition).await?.take(1);
    let answers = ended.map(|answer| {
        answer.unwrap_or_else(|error| WaitResponse {
            status_code: -1,
            error: Some(WaitExitError {
                message: error.message,
            }),
        })
    });
    if !version.at_least(30) {
        // Those clients take the status for the answer: it comes when the wait is over.
        let answer = answers.collect::<Vec<_>>().await;
        return Ok(reply::json(
            &serde_json::json!({"StatusCode": answer.first().map_or(-1, |a| a.status_code)}),
        ));
    }
    Ok(reply::json_stream("application/json", answers))
}

/// The parameters that every log has.
pub(super) fn log_options(params: &Params) -> Result<Logs, Failure> {
    let options = Logs {
        stdout: params.flag("stdout"),
        stderr: params.flag("stderr"),
        follow: params.flag("follow"),
        timestamps: params.flag("timestamps"),
        details: params.flag("details"),
        // Anything that is no number is all of it, as in Docker.
        tail: params.get("tail").parse().ok(),
        since: params.time("since")?,
        until: params.time("until")?,
        joined: false,
    };
    if !options.stdout && !options.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream").into());
    }
    Ok(options)
}

pub(super) fn log_reply(log: LogStream, version: shoal_api_backend::ApiVersion) -> Response {
    let tty = log.tty;
    // What fails from here on is said in the log's own words: it cannot be said in a status any more.
    let frames = log.frames.map(move |chunk| match chunk {
        Err(error) if tty => Ok(format!("Error grabbing logs: {error}\n").into()),
        Err(error) => Ok(system_error(&format!("Error grabbing logs: {error}\n"))),
        chunk => chunk,
    });
    reply::bytes(content_type(tty, version), Box::pin(frames))
}

/// A frame of stream 3, which clients report as an error of the daemon.
fn system_error(text: &str) -> bytes::Bytes {
    let mut frame = vec![3, 0, 0, 0];
    frame.extend_from_slice(&(text.len() as u32).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

async fn logs(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Answer {
    let mut options = log_options(&params)?;
    options.joined = !options.follow && copies(&headers);
    let log = api.containers.logs(&id, options).await?;
    Ok(log_reply(log, version))
}

/// The stock command line and ours copy what is in frames to their output, and spend more on a frame than on its bytes. SDKs
/// give each frame to their users, who take it for a line.
fn copies(headers: &HeaderMap) -> bool {
    let agent = headers.get(http::header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["Docker-Client/", "shoal/"]
        .iter()
        .any(|name| agent.starts_with(name))
}

async fn attach(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
    mut request: Request,
) -> Answer {
    let options = Attach {
        logs: params.flag("logs"),
        stream: params.flag("stream"),
        stdin: params.flag("stdin"),
        stdout: params.flag("stdout"),
        stderr: params.flag("stderr"),
        detach_keys: params.text("detachKeys"),
    };
    let takeover = Takeover::of(&mut request)?;
    let attached = api.containers.attach(&id, options).await?;
    takeover.join(attached, version)
}

async fn attach_websocket(
    State(api): Api,
    Version(version): Version,
    Path(id): Path<String>,
    params: Params,
    mut request: Request,
) -> Answer {
    // Which streams are wanted could not be said before 1.42.
    let wants = |key: &str| !version.at_least(42) || params.flag(key);
    let options = Attach {
        logs: params.flag("logs"),
        stream: params.flag("stream"),
        stdin: wants("stdin"),
        stdout: wants("stdout"),
        stderr: wants("stderr"),
        detach_keys: params.text("detachKeys"),
    };
    let handshake = Handshake::of(&mut request)?;
    let attached = api.containers.attach(&id, options).await?;
    handshake.join(attached, version.at_least(28))
}

async fn stats(State(api): Api, Version(version): Version, Path(id): Path<String>, params: Params) -> Answer {
    let stream = params.flag_or("stream", true);
    let one_shot = version.at_least(41) && params.flag("one-shot");
    if stream && one_shot {
        return Err(Error::invalid("cannot have stream=true and one-shot=true").into());
    }
    let mut samples = api.containers.stats(&id, stream, one_shot).await?;
    if !stream {
        return match samples.next().await {
            Some(sample) => {
                let mut sample = sample?;
                if !version.at_least(52) {
                    sample.os_type.clear();
                }
                Ok(reply::json(&sample))
            }
            None => Err(Error::system("the container gave no statistics").into()),
        };
    }
    let samples = samples.filter_map(move |sample| async move {
        let mut sample = sample.ok()?;
        if !version.at_least(52) {
            sample.os_type.clear();
        }
        Some(sample)
    });
    Ok(reply::json_stream("application/json", samples))
}

async fn export(State(api): Api, Path(id): Path<String>) -> Answer {
    Ok(reply::bytes(
        "application/octet-stream",
        api.containers.export(&id).await?,
    ))
}

fn needed_path(params: &Params) -> Result<&str, Failure> {
    match params.get("path") {
        "" => Err(Error::invalid("missing required parameter: path").into()),
        path => Ok(path),
    }
}

fn with_stat(mut response: Response, stat: &PathStat) -> Response {
    let json = serde_json::to_vec(stat).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&BASE64_STANDARD.encode(json)) {
        response
            .headers_mut()
            .insert("x-docker-container-path-stat", value);
    }
    response
}

async fn archive_head(State(api): Api, Path(id): Path<String>, params: Params) -> Answer {
    let stat = api.containers.archive_stat(&id, needed_path(&params)?).await?;
    Ok(with_stat(StatusCode::OK.into_response(), &stat))
}

async fn archive_get(State(api): Api, method: Method, Path(id): Path<String>, params: Params) -> Answer {
    if method == Method::HEAD {
        return archive_head(State(api), Path(id), params).await;
    }
    let (stat, tar) = api.containers.archive_get(&id, needed_path(&params)?).await?;
    Ok(with_stat(reply::bytes("application/x-tar", tar), &stat))
}

async fn archive_put(
    State(api): Api,
    Path(id): Path<String>,
    params: Params,
    Extension(origin): Extension<Origin>,
    body: Body,
) -> Answer {
    let options = PutArchive {
        path: needed_path(&params)?.to_owned(),
        no_overwrite_dir_non_dir: params.flag("noOverwriteDirNonDir"),
        copy_uid_gid: params.flag("copyUIDGID"),
    };
    api.containers
        .archive_put(&id, options, body::upload(&origin, body))
        .await?;
    Ok(reply::ok())
}
