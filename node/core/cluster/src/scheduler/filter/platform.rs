//! The image's operating system and architecture.

use super::{Filter, Load, on_nodes};
use shoal_raft_objects::service::Platform;
use shoal_raft_objects::{Node, Task, TaskSpec};

struct Platforms(Vec<Platform>);

pub fn filter(task: &Task) -> Option<Box<dyn Filter>> {
    let platforms = task.spec.placement.as_ref().map(|p| p.platforms.clone())?;
    if platforms.is_empty() {
        return None;
    }
    Some(Box::new(Platforms(platforms)))
}

impl Filter for Platforms {
    fn admits(&self, node: &Node, _: &Load) -> bool {
        self.0.iter().any(|platform| matches(platform, node))
    }

    fn explain(&self, nodes: u64) -> String {
        on_nodes("unsupported platform", nodes)
    }
}

/// Whether the node can run the spec's image, as far as the spec says what that is.
pub fn supports(node: &Node, spec: &TaskSpec) -> bool {
    let platforms = spec.placement.as_ref().map_or(&[][..], |p| &p.platforms[..]);
    platforms.is_empty() || platforms.iter().any(|platform| matches(platform, node))
}

/// An empty member of a platform matches everything.
fn matches(platform: &Platform, node: &Node) -> bool {
    let description = &node.description;
    (platform.os.is_empty() || platform.os.eq_ignore_ascii_case(&description.os))
        && (platform.architecture.is_empty()
            || normal(&platform.architecture) == normal(&description.architecture))
}

/// Registries and kernels name the same thing differently.
fn normal(architecture: &str) -> String {
    match architecture.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".into(),
        "aarch64" => "arm64".into(),
        other => other.into(),
    }
}
