//! `/images` and `/distribution`. Names hold slashes, so what follows the name is told from the end.

use super::{Api, Routes};
use crate::body;
use crate::connection::Origin;
use crate::filters;
use crate::gates;
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use shoal_api_backend::{
    ApiVersion, Error, ImportImage, ListAttestations, ListImages, PullImage, RemoveImage,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/images/json", get(list))
        .route("/images/search", get(search))
        .route("/images/get", get(save))
        .route("/images/create", post(create))
        .route("/images/load", post(load))
        .route("/images/prune", post(prune))
        .route("/images/{*name}", get(get_one).post(post_one).delete(remove))
        .route("/distribution/{*name}", get(distribution))
}

async fn list(State(api): Api, Version(version): Version, params: Params) -> Answer {
    let mut filters = filters::read(&params, filters::IMAGES)?;
    if !version.at_least(41)
        && let Some(reference) = params.text("filter")
    {
        filters.add("reference", reference);
    }
    let manifests = version.at_least(47) && params.flag("manifests");
    let options = ListImages {
        all: params.flag("all"),
        filters,
        shared_size: version.at_least(42) && params.flag("shared-size"),
        digests: params.flag("digests"),
        manifests,
    };
    let mut list = api.images.list(options).await?;
    gates::images(&mut list, version, manifests);
    Ok(reply::json(&list))
}

async fn search(State(api): Api, params: Params, headers: HeaderMap) -> Answer {
    let filters = filters::read(&params, filters::SEARCH)?;
    let limit = params
        .int("limit")
        .map_err(|failure| failure.in_front("invalid limit specified: "))?;
    let limit = usize::try_from(limit.unwrap_or(25)).unwrap_or(25);
    let auth = body::registry_auth(&headers)?;
    Ok(reply::json(
        &api.images
            .search(params.get("term"), limit, filters, auth)
            .await?,
    ))
}

async fn create(
    State(api): Api,
    Version(version): Version,
    params: Params,
    headers: HeaderMap,
    Extension(origin): Extension<Origin>,
    body: Body,
) -> Answer {
    let platform = if version.at_least(32) {
        params.platform()?
    } else {
        None
    };
    let messages = if params.get("fromImage").is_empty() {
        let request = ImportImage {
            source: params.get("fromSrc").to_owned(),
            repo: params.get("repo").to_owned(),
            tag: params.get("tag").to_owned(),
            message: params.get("message").to_owned(),
            changes: params.all("changes").map(str::to_owned).collect(),
            platform,
            body: body::upload(&origin, body),
        };
        api.images.import(request).await?
    } else {
        let name = params.get("fromImage");
        let request = PullImage {
            // `pull -a` may send a name with a colon at its end.
            name: name.strip_suffix(':').unwrap_or(name).to_owned(),
            all_tags: true,
            tag: params.get("tag").to_owned(),
            platform,
            auth: body::registry_auth(&headers)?,
        };
        api.images.pull(request).await?
    };
    reply::progress(messages, !version.at_least(48)).await
}

async fn load(
    State(api): Api,
    Version(version): Version,
    params: Params,
    Extension(origin): Extension<Origin>,
    body: Body,
) -> Answer {
    let platforms = if version.at_least(48) {
        params.platforms_or_one()?
    } else {
        Vec::new()
    };
    let messages = api
        .images
        .load(
            body::partial_upload(&origin, body),
            params.flag_or("quiet", true),
            platforms,
        )
        .await?;
    reply::progress(messages, !version.at_least(48)).await
}

async fn save(State(api): Api, Version(version): Version, params: Params) -> Answer {
    save_names(
        &api,
        params.all("names").map(str::to_owned).collect(),
        &params,
        version,
    )
    .await
}

async fn save_names(
    api: &crate::Backends,
    names: Vec<String>,
    params: &Params,
    version: ApiVersion,
) -> Answer {
    let platforms = if version.at_least(48) {
        params.platforms_or_one()?
    } else {
        Vec::new()
    };
    Ok(reply::bytes(
        "application/x-tar",
        api.images.save(names, platforms).await?,
    ))
}

async fn prune(State(api): Api, params: Params) -> Answer {
    let filters = filters::read(&params, filters::PRUNE_IMAGES)?;
    Ok(reply::json(&api.images.prune(filters).await?))
}

async fn get_one(
    State(api): Api,
    Version(version): Version,
    Path(rest): Path<String>,
    params: Params,
) -> Answer {
    match rest.rsplit_once('/') {
        Some((name, "json")) => {
            let manifests = version.at_least(48) && params.flag("manifests");
            let platform = if version.at_least(49) {
                params.platform_here()?
            } else {
                None
            };
            if manifests && platform.is_some() {
                return Err(Error::invalid(
                    "conflicting options: manifests and platform options cannot both be set",
                )
                .into());
            }
            let image = api.images.inspect(name, platform, manifests).await?;
            Ok(reply::json(&gates::image(image, version)))
        }
        Some((name, "attestations")) if version.at_least(55) => {
            let mut platforms = params.platforms_or_one()?;
            if platforms.len() > 1 {
                return Err(Error::invalid("only one platform can be asked for").into());
            }
            let options = ListAttestations {
                platform: platforms.pop(),
                kinds: params.all("type").map(str::to_owned).collect(),
                statements: params.flag("statement"),
            };
            Ok(reply::json(&api.images.attestations(name, options).await?))
        }
        Some((name, "history")) => {
            let platform = if version.at_least(48) {
                params.platform_here()?
            } else {
                None
            };
            Ok(reply::json(&api.images.history(name, platform).await?))
        }
        Some((name, "get")) => save_names(&api, vec![name.to_owned()], &params, version).await,
        _ => Ok(reply::page_not_found()),
    }
}

async fn post_one(
    State(api): Api,
    Version(version): Version,
    Path(rest): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Answer {
    match rest.rsplit_once('/') {
        Some((name, "tag")) => {
            api.images
                .tag(name, params.get("repo"), params.get("tag"))
                .await?;
            Ok(StatusCode::CREATED.into_response())
        }
        Some((name, "push")) => {
            let platform = if version.at_least(46) {
                params.platform_here()?
            } else {
                None
            };
            let auth = body::registry_auth(&headers)?;
            let messages = api.images.push(name, params.get("tag"), platform, auth).await?;
            reply::progress(messages, !version.at_least(48)).await
        }
        _ => Ok(reply::page_not_found()),
    }
}

async fn remove(
    State(api): Api,
    Version(version): Version,
    Path(name): Path<String>,
    params: Params,
) -> Answer {
    let platforms = if version.at_least(50) {
        params.platforms()?
    } else {
        Vec::new()
    };
    let options = RemoveImage {
        force: params.flag("force"),
        no_prune: params.flag("noprune"),
        platforms,
    };
    Ok(reply::json(&api.images.remove(&name, options).await?))
}

async fn distribution(State(api): Api, Path(rest): Path<String>, headers: HeaderMap) -> Answer {
    match rest.rsplit_once('/') {
        Some((name, "json")) => Ok(reply::json(
            &api.images
                .distribution(name, body::registry_auth(&headers)?)
                .await?,
        )),
        _ => Ok(reply::page_not_found()),
    }
}
