//! A task's image on this node.

use super::TaskRunner;
use crate::neighbours::Neighbours;
use shoal_api_types::auth::AuthConfig;
use shoal_node_agent::TaskError;
use shoal_node_engine::ImagesService;
use shoal_raft_objects::{HELD_IMAGES_MAX, Task, held_image};
use std::sync::Arc;

/// What a task's image is called here. Clients take a short id for a name and add their default tag; without it both are
/// found, the name first.
pub fn called(image: &str) -> &str {
    let digits = |text: &&str| {
        (12..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    image.strip_suffix(":latest").filter(digits).unwrap_or(image)
}

/// Makes sure that the image is here. What a user has brought here is used as it is: a client that wants "the newest of
/// this tag" pins the digest in the service (the docker CLI does). What is not here comes from another node, or else from
/// its registry.
pub async fn ensure(runner: &TaskRunner, task: &Task) -> Result<(), TaskError> {
    let Some(spec) = &task.spec.container_spec else {
        return Err(TaskError::Fatal("the task has no container specification".into()));
    };
    let auth = spec.pull_auth.as_deref().and_then(decode);
    let others = Arc::new(Neighbours::new(runner.peers()));
    let brought = runner
        .images
        .bring(called(&spec.image), auth, others, task.service_id.as_str())
        .await;
    brought.map_err(|error| {
        tracing::warn!(image = %spec.image, %error, "a task's image cannot be had");
        TaskError::Fatal(format!("No such image: {}", spec.image))
    })
}

/// The images that this node has, for who decides where tasks go: those that were named last, if they are many.
pub fn held(images: &ImagesService) -> Vec<u64> {
    let names = images.held_names(HELD_IMAGES_MAX);
    let mut held: Vec<u64> = names.iter().map(|name| held_image(name)).collect();
    held.sort_unstable();
    held.dedup();
    held.truncate(HELD_IMAGES_MAX);
    held
}

/// `X-Registry-Auth`: base64url of JSON, padded or not.
fn decode(header: &str) -> Option<AuthConfig> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(header.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}
