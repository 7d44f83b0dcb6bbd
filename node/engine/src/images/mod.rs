//! Images of this node: the driver's store, in the API's words.

pub(crate) mod changes;
mod streams;
mod verbs;

use crate::error::{Error, Result};
use crate::events::Events;
use shoal_api_backend::Class;
use shoal_api_types::image::ImageConfig;
use shoal_node_drivers_images::{self as driver, Image};

pub use driver::Images as Store;

/// The verbs. Cheap to clone.
#[derive(Clone)]
pub struct ImagesService {
    store: Store,
    registry: crate::containers::Registry,
    events: Events,
}

impl ImagesService {
    pub(crate) fn new(store: Store, registry: crate::containers::Registry, events: Events) -> Self {
        ImagesService {
            store,
            registry,
            events,
        }
    }

    /// By reference, id, or the start of an id.
    pub fn find(&self, name: &str) -> Result<Image> {
        find(&self.store, name)
    }

    fn emit(&self, action: &str, id: &str, name: &str) {
        let mut attributes = match self.store.get(id) {
            Ok(image) => image.config.config.labels.clone().into_map(),
            Err(_) => Default::default(),
        };
        attributes.insert("name".into(), name.into());
        self.events.publish("image", action, id, attributes);
    }
}

/// By reference, id, or the start of an id.
pub fn find(store: &Store, name: &str) -> Result<Image> {
    store.get(name).map_err(error)
}

pub fn config_of(image: &Image) -> &ImageConfig {
    &image.config.config
}

/// The driver's error in the API's classes; the words are Docker's already.
pub fn error(e: driver::Error) -> Error {
    use driver::Error as E;
    let class = match &e {
        E::NotFound(_) => Class::NotFound,
        E::InvalidReference(_) | E::InvalidParameter(_) => Class::InvalidParameter,
        E::Unauthorized(_) => Class::Unauthorized,
        E::Conflict(_) => Class::Conflict,
        _ => Class::System,
    };
    Error::new(class, e.to_string())
}

/// How registries are spoken to, from the daemon's configuration.
pub fn registries(live: &crate::config::Live) -> driver::RegistryConfig {
    driver::RegistryConfig {
        insecure: live.insecure_registries.clone(),
        mirrors: live.registry_mirrors.clone(),
        downloads_max: live.downloads_max,
        attempts_max: live.download_attempts_max,
        ..driver::RegistryConfig::default()
    }
}
