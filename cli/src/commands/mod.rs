//! Every command, as one table. A command is one file; its noun is its folder.

mod container;
use container as container_shared;
mod image;
mod login;
mod network;
mod node;
mod options;
mod parse;
mod plugin;
mod progress;
mod service;
mod swarm;
mod system;
mod volume;

use crate::app::Leaf;
use std::sync::LazyLock;

pub fn all() -> &'static [Leaf] {
    static ALL: LazyLock<Vec<Leaf>> = LazyLock::new(|| {
        let mut all = Vec::new();
        all.extend(container::leaves());
        all.extend(image::leaves());
        all.extend(login::leaves());
        all.extend(network::leaves());
        all.extend(volume::leaves());
        all.extend(plugin::leaves());
        all.extend(system::leaves());
        all.extend(swarm::leaves());
        all.extend(node::leaves());
        all.extend(service::leaves());
        all
    });
    &ALL
}

/// What a noun's own help says.
pub fn noun(name: &str) -> &'static str {
    match name {
        "container" => "Manage containers",
        "image" => "Manage images",
        "network" => "Manage networks",
        "volume" => "Manage volumes",
        "plugin" => "Manage plugins",
        "checkpoint" => "Manage checkpoints",
        "system" => "Manage the engine",
        "swarm" => "Manage the cluster",
        "node" => "Manage cluster nodes",
        "service" => "Manage services",
        _ => "",
    }
}
