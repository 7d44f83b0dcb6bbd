//! A task's image on this node.

use futures_util::StreamExt;
use shoal_api_backend::{Images, PullImage};
use shoal_api_types::auth::AuthConfig;
use shoal_node_agent::TaskError;
use shoal_raft_objects::Task;

/// Pulls the image unless the node has it. What is here is used as it is: a client that wants "the newest of this tag"
/// pins the digest in the service (the docker CLI does), and a pinned image that is here is the right one.
pub async fn ensure(images: &dyn Images, task: &Task) -> Result<(), TaskError> {
    let Some(spec) = &task.spec.container_spec else {
        return Err(TaskError::Fatal("the task has no container specification".into()));
    };
    if images.inspect(&spec.image, None, false).await.is_ok() {
        return Ok(());
    }
    let auth = spec.pull_auth.as_deref().and_then(decode);
    let request = PullImage {
        name: spec.image.clone(),
        auth,
        ..PullImage::default()
    };
    let mut progress = images
        .pull(request)
        .await
        .map_err(|e| TaskError::Fatal(e.to_string()))?;
    while let Some(line) = progress.next().await {
        let failed = match line {
            Ok(line) => line.error_detail.map(|e| e.message),
            Err(e) => Some(e.to_string()),
        };
        if let Some(reason) = failed {
            tracing::warn!(image = %spec.image, %reason, "pulling a task's image failed");
            return Err(TaskError::Fatal(format!("No such image: {}", spec.image)));
        }
    }
    Ok(())
}

/// `X-Registry-Auth`: base64url of JSON, padded or not.
fn decode(header: &str) -> Option<AuthConfig> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(header.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}
