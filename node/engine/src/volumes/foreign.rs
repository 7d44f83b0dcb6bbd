//! Volumes that a plugin keeps. The plugin knows what is in them; which there are of ours, with their labels, is written
//! down here, as Docker does.

use crate::error::{Error, Result, io, system};
use crate::files::{self, Durability};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shoal_node_drivers_plugins::{self as plugins, Call, Plugin, Plugins};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const INTERFACE: &str = "VolumeDriver";
/// In the directory of all volumes; no volume's name begins with a dot.
const FILE: &str = ".plugin-volumes.json";
/// Making and mounting may take a plugin long: Docker's limits.
const LONG: Call = Call {
    limit: Duration::from_secs(120),
    again: true,
};
const SHORT: Call = Call {
    limit: Duration::from_secs(60),
    again: true,
};
/// To be listed or shown a volume does not wait for a plugin that is gone.
const LOOK: Call = Call {
    limit: Duration::from_secs(10),
    again: false,
};

/// One of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// What the plugin says of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Seen {
    pub name: String,
    pub mountpoint: String,
    pub created_at: Option<String>,
    pub status: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    err: Option<String>,
    mountpoint: Option<String>,
    volume: Option<Seen>,
    volumes: Option<Vec<Seen>>,
    capabilities: Option<Capabilities>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Capabilities {
    scope: String,
}

#[derive(Clone)]
pub struct Foreign {
    plugins: Plugins,
    root: PathBuf,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

impl Foreign {
    pub fn open(root: &Path, plugins: Plugins) -> Result<Foreign> {
        let known = files::read_json(&root.join(FILE)).map_err(io("read", root.join(FILE).display()))?;
        Ok(Foreign {
            plugins,
            root: root.into(),
            known: Arc::new(Mutex::new(known.unwrap_or_default())),
        })
    }

    pub fn get(&self, name: &str) -> Option<Known> {
        self.known.lock().get(name).cloned()
    }

    pub fn all(&self) -> BTreeMap<String, Known> {
        self.known.lock().clone()
    }

    /// For a text of its own: the plugin must be there.
    pub async fn find(&self, driver: &str) -> Result<()> {
        self.plugin(driver).await.map(drop)
    }

    /// Drivers that have been used.
    pub fn drivers(&self) -> Vec<String> {
        let found = self.plugins.known(INTERFACE);
        found.iter().map(|plugin| plugin.name().to_owned()).collect()
    }

    /// The plugin makes it unless it has it; then it is written down.
    pub async fn create(&self, name: &str, known: Known) -> Result<()> {
        let plugin = self.plugin(&known.driver).await?;
        let look = serde_json::json!({"Name": name});
        let there = ask(&plugin, "Get", &look, LOOK).await.is_ok();
        if !there {
            let wish = serde_json::json!({"Name": name, "Opts": known.options});
            ask(&plugin, "Create", &wish, LONG).await?;
        }
        self.change(|all| all.insert(name.into(), known))
    }

    pub async fn remove(&self, name: &str, driver: &str) -> Result<()> {
        let plugin = self.plugin(driver).await?;
        let which = serde_json::json!({"Name": name});
        // One that the plugin has lost needs no removing.
        if ask(&plugin, "Get", &which, LOOK).await.is_ok() {
            ask(&plugin, "Remove", &which, LONG).await?;
        }
        self.change(|all| all.remove(name))
    }

    /// Where its files are from now on.
    pub async fn mount(&self, name: &str, driver: &str, id: &str) -> Result<PathBuf> {
        let plugin = self.plugin(driver).await?;
        let which = serde_json::json!({"Name": name, "ID": id});
        let answer = ask(&plugin, "Mount", &which, LONG).await;
        let answer = answer.map_err(|e| system(format!("error while mounting volume '': {}", e.message)))?;
        match answer.mountpoint {
            Some(path) if path.starts_with('/') => Ok(path.into()),
            other => Err(system(format!(
                "error while mounting volume '': plugin {driver:?} has mounted it at {other:?}, which is no path"
            ))),
        }
    }

    pub async fn unmount(&self, name: &str, driver: &str, id: &str) -> Result<()> {
        let plugin = self.plugin(driver).await?;
        let which = serde_json::json!({"Name": name, "ID": id});
        ask(&plugin, "Unmount", &which, SHORT).await.map(drop)
    }

    /// What the plugin says of it; `None` if it does not answer or does not know it.
    pub async fn look(&self, name: &str, driver: &str) -> Option<Seen> {
        let plugin = self.plugin(driver).await.ok()?;
        let which = serde_json::json!({"Name": name});
        ask(&plugin, "Get", &which, LOOK).await.ok()?.volume
    }

    /// What each plugin that is in use keeps, of ours or not.
    pub async fn list(&self) -> Vec<(String, Seen)> {
        let mut drivers = self.drivers();
        drivers.extend(self.known.lock().values().map(|known| known.driver.clone()));
        drivers.sort();
        drivers.dedup();
        let mut out = Vec::new();
        for driver in drivers {
            let listed = async {
                let plugin = self.plugin(&driver).await?;
                ask(&plugin, "List", &serde_json::json!({}), LOOK).await
            };
            match listed.await {
                Ok(answer) => {
                    let volumes = answer.volumes.unwrap_or_default();
                    out.extend(volumes.into_iter().map(|seen| (driver.clone(), seen)));
                }
                Err(error) => {
                    tracing::warn!(driver, error = error.message, "a plugin cannot list its volumes")
                }
            }
        }
        out
    }

    /// `local` or `global`.
    pub async fn scope(&self, driver: &str) -> String {
        let asked = async {
            let plugin = self.plugin(driver).await?;
            ask(&plugin, "Capabilities", &serde_json::json!({}), LOOK).await
        };
        let capabilities = asked.await.ok().and_then(|answer| answer.capabilities);
        match capabilities.map(|c| c.scope.to_ascii_lowercase()) {
            Some(scope) if scope == "global" => scope,
            _ => "local".into(),
        }
    }

    async fn plugin(&self, driver: &str) -> Result<Plugin> {
        self.plugins.get(driver, INTERFACE).await.map_err(|e| {
            let text = format!("error looking up volume plugin {driver}: {e}");
            match e {
                plugins::Error::NotFound(_) => crate::error::not_found(text),
                _ => system(text),
            }
        })
    }

    fn change<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Known>) -> T) -> Result<()> {
        let mut known = self.known.lock();
        let mut next = known.clone();
        act(&mut next);
        files::replace_json(&self.root, FILE, &next, Durability::Synced)
            .map_err(io("write", self.root.join(FILE).display()))?;
        *known = next;
        Ok(())
    }
}

/// A call whose answer carries no `Err`.
async fn ask(plugin: &Plugin, method: &str, request: &serde_json::Value, call: Call) -> Result<Answer> {
    let method = format!("{INTERFACE}.{method}");
    let answer: Answer = plugin
        .call(&method, request, call)
        .await
        .map_err(|e| system(e.to_string()))?;
    match answer.err.as_deref() {
        None | Some("") => Ok(answer),
        Some(why) => Err(Error::new(shoal_api_backend::Class::System, why)),
    }
}
