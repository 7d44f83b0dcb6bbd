//! The plugins that have been used so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::discovery::Places;
use crate::error::{Error, Result};
use crate::plugin::{Call, Plugin};

/// A plugin that is there answers at once; one that is not should not hold up whoever asks for it. (Docker waits for 15
/// seconds whether a plugin of that name turns up.)
const ACTIVATION: Call = Call {
    limit: Duration::from_secs(15),
    again: false,
};
/// More than this many names are not remembered: they are asked again.
const KNOWN_MAX: usize = 256;

/// A cheap handle.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    places: Arc<Places>,
    known: Arc<Mutex<BTreeMap<String, Plugin>>>,
}

impl Plugins {
    pub fn new(places: Places) -> Plugins {
        Plugins {
            places: Arc::new(places),
            known: Arc::default(),
        }
    }

    /// The plugin `name`, which must implement `interface`. Looked for anew each time, so that one whose address has
    /// changed or that is gone is noticed; asked what it implements only once.
    pub async fn get(&self, name: &str, interface: &str) -> Result<Plugin> {
        let (places, owned) = (self.places.clone(), name.to_owned());
        let found = tokio::task::spawn_blocking(move || places.find(&owned)).await;
        let address = match found {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => {
                self.known.lock().remove(name);
                return Err(error);
            }
            Err(error) => {
                return Err(Error::Description {
                    name: name.to_owned(),
                    why: error.to_string(),
                });
            }
        };
        let known = self.known.lock().get(name).cloned();
        let plugin = match known {
            Some(plugin) if *plugin.address() == address => plugin,
            _ => {
                let plugin = Plugin::activate(name, address, ACTIVATION).await?;
                let mut known = self.known.lock();
                if known.len() < KNOWN_MAX {
                    known.insert(name.to_owned(), plugin.clone());
                }
                plugin
            }
        };
        if plugin.implements(interface) {
            Ok(plugin)
        } else {
            // It may be another program at the same address by now: ask again next time.
            self.known.lock().remove(name);
            Err(Error::NotImplemented {
                name: name.to_owned(),
                interface: interface.to_owned(),
            })
        }
    }

    /// Those used so far that implement `interface`.
    pub fn known(&self, interface: &str) -> Vec<Plugin> {
        let known = self.known.lock();
        let serving = known.values().filter(|plugin| plugin.implements(interface));
        serving.cloned().collect()
    }

    /// Every plugin that can be found and answers, if it implements `interface`. Those that do not answer are left out.
    pub async fn all(&self, interface: &str) -> Vec<Plugin> {
        let places = self.places.clone();
        let names = tokio::task::spawn_blocking(move || places.names()).await;
        let mut out = Vec::new();
        for name in names.unwrap_or_default() {
            match self.get(&name, interface).await {
                Ok(plugin) => out.push(plugin),
                Err(Error::NotImplemented { .. }) => {}
                Err(error) => tracing::warn!(plugin = name, %error, "a plugin does not answer"),
            }
        }
        out
    }
}
