//! Who answers what.

use shoal_api_backend::{Containers, Execs, Forwarding, Images, Networks, Swarm, System, Volumes};
use std::sync::Arc;

/// One implementation per resource; cheap to clone.
#[derive(Clone)]
pub struct Backends {
    pub containers: Arc<dyn Containers>,
    pub execs: Arc<dyn Execs>,
    pub images: Arc<dyn Images>,
    pub networks: Arc<dyn Networks>,
    pub volumes: Arc<dyn Volumes>,
    pub system: Arc<dyn System>,
    pub swarm: Arc<dyn Swarm>,
    pub forwarding: Arc<dyn Forwarding>,
}
