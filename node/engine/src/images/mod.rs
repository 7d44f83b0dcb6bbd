//! Images of this node: the driver's store, in the API's words.

pub(crate) mod changes;
mod registries;
mod streams;
mod verbs;

use crate::error::{Error, Result};
use crate::events::Events;
use shoal_api_backend::Class;
use shoal_api_types::image::{ImageConfig, OciPlatform};
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

/// Refuses an image of another platform than the one that was asked for, so that a client pulls the right one.
pub fn check_platform(name: &str, image: &Image, asked: &OciPlatform) -> Result<()> {
    let text = |os: &str, architecture: &str, variant: &str| {
        let parts = [os, architecture, variant];
        parts
            .into_iter()
            .filter(|p| !p.is_empty())
            .collect::<Vec<_>>()
            .join("/")
    };
    let (has, wants) = (&image.config, asked);
    let same = has.os == wants.os
        && has.architecture == wants.architecture
        && (wants.variant.is_empty() || has.variant == wants.variant);
    if same {
        return Ok(());
    }
    Err(crate::error::not_found(format!(
        "image with reference {name} was found but its platform ({}) does not match the specified platform ({})",
        text(&has.os, &has.architecture, &has.variant),
        text(&wants.os, &wants.architecture, &wants.variant),
    )))
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

/// In the driver's words.
fn platform(asked: OciPlatform) -> driver::Platform {
    driver::Platform {
        os: asked.os,
        architecture: asked.architecture,
        variant: asked.variant,
    }
}

/// In the API's words.
fn oci_platform(platform: &driver::Platform) -> OciPlatform {
    OciPlatform {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        ..OciPlatform::default()
    }
}

/// How registries are spoken to, from the daemon's configuration.
pub fn registries(live: &crate::config::Live) -> driver::RegistryConfig {
    driver::RegistryConfig {
        insecure: live.insecure_registries.clone(),
        mirrors: live.registry_mirrors.clone(),
        downloads_max: live.downloads_max,
        uploads_max: live.uploads_max,
        attempts_max: live.download_attempts_max,
        ..driver::RegistryConfig::default()
    }
}
