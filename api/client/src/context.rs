//! docker's contexts: named engines under `~/.docker/contexts`.

use crate::endpoint::{Endpoint, TlsMaterial};
use crate::error::{Error, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The contexts of one configuration directory.
#[derive(Debug, Clone)]
pub struct Contexts {
    config: PathBuf,
}

/// One named engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Context {
    pub name: String,
    metadata: Metadata,
    endpoints: BTreeMap<String, Docker>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    description: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Docker {
    #[serde(rename = "Host")]
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    current_context: String,
}

impl Context {
    pub fn description(&self) -> &str {
        &self.metadata.description
    }
    pub fn host(&self) -> &str {
        self.endpoints.get("docker").map_or("", |docker| &docker.host)
    }
}

impl Contexts {
    pub fn new(config: PathBuf) -> Self {
        Self { config }
    }

    /// The one chosen by `docker context use`; None is the default.
    pub fn current(&self) -> Option<String> {
        let text = std::fs::read(self.config.join("config.json")).ok()?;
        let file: ConfigFile = serde_json::from_slice(&text).ok()?;
        Some(file.current_context).filter(|name| !name.is_empty() && name != "default")
    }

    pub fn list(&self) -> Vec<Context> {
        let Ok(entries) = std::fs::read_dir(self.config.join("contexts/meta")) else {
            return Vec::new();
        };
        let mut all: Vec<Context> = entries
            .flatten()
            .filter_map(|entry| read(&entry.path().join("meta.json")).ok())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn endpoint(&self, name: &str) -> Result<Endpoint> {
        if name == "default" {
            return Endpoint::parse("unix://", None);
        }
        let id = hex::encode(Sha256::digest(name.as_bytes()));
        let path = self.config.join("contexts/meta").join(&id).join("meta.json");
        if !path.exists() {
            return Err(Error::NoContext(name.to_owned()));
        }
        let context = read(&path)?;
        let docker = context.endpoints.get("docker").cloned().unwrap_or_default();
        let dir = self.config.join("contexts/tls").join(&id).join("docker");
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        let tls = TlsMaterial {
            ca: file("ca.pem"),
            certificate: file("cert.pem"),
            key: file("key.pem"),
            skip_verify: docker.skip_tls_verify,
        };
        let wanted = tls != TlsMaterial::default();
        Endpoint::parse(&docker.host, wanted.then_some(tls))
    }
}

fn read(path: &Path) -> Result<Context> {
    let failed = |reason: String| Error::File {
        what: "context",
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Choice;

    #[test]
    fn contexts_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let id = hex::encode(Sha256::digest(b"far"));
        let meta = dir.path().join("contexts/meta").join(&id);
        let tls = dir.path().join("contexts/tls").join(&id).join("docker");
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Metadata":{"Description":"d"},"Endpoints":{"docker":{"Host":"tcp://far","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        std::fs::write(tls.join("ca.pem"), "x").unwrap();
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();
        let env = |name: &str| (name == "DOCKER_CONFIG").then(|| dir.path().display().to_string());
        let Endpoint::Tcp { address, tls } = Endpoint::resolve(&Choice::default(), env).unwrap() else {
            panic!()
        };
        assert_eq!(address, "far:2376");
        assert!(tls.unwrap().ca.is_some());
        let contexts = Contexts::new(dir.path().into());
        assert_eq!(contexts.list()[0].description(), "d");
        assert!(matches!(contexts.endpoint("near"), Err(Error::NoContext(_))));
        assert_eq!(
            contexts.endpoint("default").unwrap().display(),
            "unix:///var/run/docker.sock"
        );
    }
}
