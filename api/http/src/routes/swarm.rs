//! `/swarm`.

use super::{Api, Routes};
use crate::body;
use crate::gates;
use crate::params::Params;
use crate::reply::{self, Answer};
use crate::router::Version;
use axum::body::Body;
use axum::extract::State;
use axum::routing::{get, post};
use http::HeaderMap;
use shoal_api_backend::UpdateSwarm;
use shoal_api_types::swarm::{InitRequest, JoinRequest, Spec, UnlockRequest};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/swarm", get(inspect))
        .route("/swarm/init", post(init))
        .route("/swarm/join", post(join))
        .route("/swarm/leave", post(leave))
        .route("/swarm/update", post(update))
        .route("/swarm/unlockkey", get(unlock_key))
        .route("/swarm/unlock", post(unlock))
}

async fn inspect(State(api): Api) -> Answer {
    Ok(reply::json(&api.swarm.inspect().await?))
}

async fn init(State(api): Api, Version(version): Version, headers: HeaderMap, body: Body) -> Answer {
    let mut request: InitRequest = body::json(&headers, body).await?;
    gates::swarm_init(&mut request, version);
    // The node's id, a bare JSON string.
    Ok(reply::json(&api.swarm.init(request).await?))
}

async fn join(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let request: JoinRequest = body::json(&headers, body).await?;
    api.swarm.join(request).await?;
    Ok(reply::ok())
}

async fn leave(State(api): Api, params: Params) -> Answer {
    api.swarm.leave(params.flag("force")).await?;
    Ok(reply::ok())
}

async fn update(State(api): Api, params: Params, headers: HeaderMap, body: Body) -> Answer {
    let spec: Spec = body::json(&headers, body).await?;
    let options = UpdateSwarm {
        version: params.version("swarm")?,
        rotate_worker_token: params.flag("rotateWorkerToken"),
        rotate_manager_token: params.flag("rotateManagerToken"),
        rotate_manager_unlock_key: params.flag("rotateManagerUnlockKey"),
    };
    api.swarm.update(options, spec).await?;
    Ok(reply::ok())
}

async fn unlock_key(State(api): Api) -> Answer {
    Ok(reply::json(&api.swarm.unlock_key().await?))
}

async fn unlock(State(api): Api, headers: HeaderMap, body: Body) -> Answer {
    let request: UnlockRequest = body::json(&headers, body).await?;
    api.swarm.unlock(request).await?;
    Ok(reply::ok())
}
