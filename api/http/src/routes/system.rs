//! `/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth`.

use super::{Api, Routes};
use crate::body;
use crate::filters;
use crate::gates;
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use shoal_api_backend::{Error, Events, MeasureUsage};
use shoal_api_types::auth::AuthConfig;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(info))
        .route("/events", get(events))
        .route("/system/df", get(usage))
        .route("/auth", post(auth))
}

async fn ping(State(api): Api, method: Method) -> Response {
    let text = if method == Method::HEAD { "" } else { "OK" };
    let mut response = reply::typed(StatusCode::OK, "text/plain; charset=utf-8", Body::from(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    // The classic builder: clients then do not try BuildKit.
    headers.insert("builder-version", HeaderValue::from_static("1"));
    if let Ok(swarm) = HeaderValue::from_str(&api.system.ping().swarm)
        && !swarm.is_empty()
    {
        headers.insert("swarm", swarm);
    }
    response
}

async fn version(State(api): Api) -> Answer {
    Ok(reply::json(&api.system.version().await?))
}

async fn info(State(api): Api, Version(version): Version) -> Answer {
    let mut info = api.system.info().await?;
    info.swarm = api.swarm.info().await;
    Ok(reply::json(&gates::info(info, version)))
}

async fn events(State(api): Api, Version(version): Version, params: Params, headers: HeaderMap) -> Answer {
    let options = Events {
        since: params.point("since")?,
        until: params.point("until")?,
        filters: filters::any(&params)?,
    };
    if let (Some(since), Some(until)) = (options.since, options.until)
        && until < since
    {
        let text = "`since` time (%s) cannot be after `until` time (%s)";
        let text = text
            .replacen("%s", params.get("since"), 1)
            .replacen("%s", params.get("until"), 1);
        return Err(Error::invalid(text).into());
    }
    let kind = event_type(&headers, version);
    let lines = api.system.events(options).await?.map(move |event| {
        let mut event = event.map_err(|reason| {
            // The broken end of the stream is how a reader learns that it lacks something.
            tracing::warn!(%reason, "a reader of events is cut off");
            std::io::Error::other(reason)
        })?;
        gates::event(&mut event, version);
        let line = reply::line(&event).map_err(std::io::Error::other)?;
        Ok::<_, std::io::Error>(if kind == "application/json-seq" {
            // RFC 7464: a record separator before each text.
            bytes::Bytes::from([b"\x1e".as_slice(), &line].concat())
        } else {
            line
        })
    });
    Ok(reply::typed(StatusCode::OK, kind, Body::from_stream(lines)))
}

/// The kind of stream that the client likes best of those that its version has; of two as good, ours is the first.
fn event_type(headers: &HeaderMap, version: shoal_api_backend::ApiVersion) -> &'static str {
    let accept: Vec<_> = headers.get_all(header::ACCEPT).into_iter().collect();
    let offers = [
        "application/jsonl",
        "application/x-ndjson",
        "application/json-seq",
    ];
    let skip = match version {
        v if v.at_least(53) => 0,
        v if v.at_least(52) => 1,
        _ => return "application/json",
    };
    let asked = accept
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    // (quality, how exactly it was named)
    let mut best = (0.0, 0);
    let mut chosen = "application/json";
    for part in asked {
        let mut words = part.split(';').map(str::trim);
        let range = words.next().unwrap_or_default().to_ascii_lowercase();
        let quality = words
            .find_map(|word| word.strip_prefix("q="))
            .map_or(1.0, |q| q.parse().unwrap_or(0.0));
        let exactness = match range.as_str() {
            "*/*" => 1,
            "application/*" => 2,
            _ => 3,
        };
        let offer = match exactness {
            3 => offers[skip..].iter().find(|offer| **offer == range),
            _ => offers[skip..].first(),
        };
        if let Some(offer) = offer
            && quality > 0.0
            && (quality, exactness) > best
        {
            best = (quality, exactness);
            chosen = offer;
        }
    }
    chosen
}

async fn usage(State(api): Api, Version(version): Version, params: Params) -> Answer {
    let mut what = MeasureUsage {
        containers: true,
        images: true,
        volumes: true,
        build_cache: true,
    };
    if version.at_least(42) && params.has("type") {
        what = MeasureUsage {
            containers: false,
            images: false,
            volumes: false,
            build_cache: false,
        };
        for kind in params.all("type") {
            match kind {
                "container" => what.containers = true,
                "image" => what.images = true,
                "volume" => what.volumes = true,
                "build-cache" => what.build_cache = true,
                other => return Err(Error::invalid(format!("unknown object type: {other}")).into()),
            }
        }
    }
    let verbose = !version.at_least(52) || params.flag("verbose");
    Ok(reply::json(&gates::usage(
        api.system.disk_usage(what).await?,
        version,
        verbose,
    )))
}

async fn auth(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let auth: AuthConfig = body::json(&headers, body).await?;
    Ok(reply::json(&api.system.auth(auth).await?))
}
