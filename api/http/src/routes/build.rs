//! Building and plugins: not in this engine yet. Each answer says so, at once, and leaves nothing behind.

use super::Routes;
use crate::reply::{self, Answer};
use axum::routing::{delete, get, post};
use serde_json::json;
use shoal_api_backend::Error;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/build", post(async || refuse("building images")))
        .route("/build/cancel", post(async || refuse("building images")))
        .route(
            "/build/prune",
            post(async || Answer::Ok(reply::json(&json!({"CachesDeleted": null, "SpaceReclaimed": 0})))),
        )
        .route("/session", post(async || refuse("building images with BuildKit")))
        .route("/grpc", post(async || refuse("building images with BuildKit")))
        // There are no plugins, which is a fact and not a failure: tools that clean up list them.
        .route("/plugins", get(async || Answer::Ok(reply::json(&json!([])))))
        .route("/plugins/privileges", get(async || refuse("plugins")))
        .route("/plugins/pull", post(async || refuse("plugins")))
        .route("/plugins/create", post(async || refuse("plugins")))
        .route("/plugins/{*name}", get(plugin).delete(plugin).post(plugin))
        .route("/containers/{id}/checkpoints", get(checkpoints).post(checkpoints))
        .route("/containers/{id}/checkpoints/{checkpoint}", delete(checkpoints))
}

fn refuse(what: &str) -> Answer {
    Err(Error::not_implemented(what).into())
}

async fn plugin(axum::extract::Path(name): axum::extract::Path<String>) -> Answer {
    let name = name.split('/').next().unwrap_or_default();
    Err(Error::not_found(format!("plugin \"{name}\" not found")).into())
}

async fn checkpoints() -> Answer {
    // Docker's words outside of its experimental mode, which is all there is here.
    Err(Error::new(
        shoal_api_backend::Class::NotImplemented,
        "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
    )
    .into())
}
