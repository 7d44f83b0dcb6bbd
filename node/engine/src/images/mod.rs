//! Images of this node: the driver's store, in the API's words.

mod bring;
pub(crate) mod changes;
mod keep;
mod manifests;
mod registries;
mod sieve;
mod streams;
mod verbs;

use crate::error::{Error, Result};
use crate::events::Events;
use shoal_api_backend::Class;
use shoal_api_types::image::{ImageConfig, OciPlatform};
use shoal_node_drivers_images::{self as driver, Image};
use std::sync::Arc;

pub use driver::{Exchange, Images as Store};
pub(crate) use keep::Tending;
pub use manifests::manifest;

/// The verbs. Cheap to clone.
#[derive(Clone)]
pub struct ImagesService {
    store: Store,
    registry: crate::containers::Registry,
    events: Events,
    exchange: Arc<Exchange>,
    keeper: Arc<keep::Keeper>,
}

impl ImagesService {
    pub(crate) fn new(
        store: Store,
        registry: crate::containers::Registry,
        events: Events,
        data_root: &std::path::Path,
    ) -> Self {
        ImagesService {
            keeper: Arc::new(keep::Keeper::open(data_root)),
            exchange: Exchange::new(store.clone()),
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
        self.emit_why(action, id, name, None);
    }

    fn emit_why(&self, action: &str, id: &str, name: &str, reason: Option<&str>) {
        let mut attributes = match self.store.get(id) {
            Ok(image) => image.config.config.labels.clone().into_map(),
            Err(_) => Default::default(),
        };
        attributes.insert("name".into(), name.into());
        attributes.extend(reason.map(|reason| ("reason".into(), reason.into())));
        self.events.publish("image", action, id, attributes);
    }
}

/// By reference, id, or the start of an id.
pub fn find(store: &Store, name: &str) -> Result<Image> {
    store.get(name).map_err(error)
}

/// The same for a platform: of what the name stands for, the image that fits it. Its refusal makes a client pull.
pub fn find_for(store: &Store, name: &str, asked: Option<&OciPlatform>) -> Result<Image> {
    let asked = asked.cloned().map(platform);
    store.get_for(name, asked.as_ref()).map_err(error)
}

/// What to say of a container whose image is for another machine, though nobody asked for that.
pub fn foreign(image: &Image) -> Option<String> {
    let (own, host) = (image.config.platform().normalized(), driver::Platform::host());
    let foreign = !own.architecture.is_empty() && !host.accepts(&own);
    foreign.then(|| {
        format!(
            "The requested image's platform ({own}) does not match the detected host platform ({host}) and no specific \
             platform was requested"
        )
    })
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
    let asked = driver::Platform {
        os: asked.os,
        architecture: asked.architecture,
        variant: asked.variant,
    };
    asked.normalized()
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
pub fn registries(config: &crate::config::Config) -> Result<driver::RegistryConfig> {
    let proxies = &config.proxies;
    let fixed = driver::RegistryConfig {
        certificates: config.registry_certificates.clone(),
        proxies: driver::Proxies::new(&proxies.http, &proxies.https, &proxies.no).map_err(error)?,
        ..driver::RegistryConfig::default()
    };
    Ok(with_live(fixed, &config.live))
}

/// The same with what may change while the daemon runs.
pub fn with_live(now: driver::RegistryConfig, live: &crate::config::Live) -> driver::RegistryConfig {
    driver::RegistryConfig {
        insecure: live.insecure_registries.clone(),
        mirrors: live.registry_mirrors.clone(),
        downloads_max: live.downloads_max,
        uploads_max: live.uploads_max,
        attempts_max: live.download_attempts_max,
        ..now
    }
}
