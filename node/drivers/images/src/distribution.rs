//! What a registry has under a name, without pulling it.

use shoal_api_types::auth::AuthConfig;

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::manifest::{CONFIG_MAX, Descriptor, Document};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Access, Session};

/// Where a name leads, and for which platforms there is something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub descriptor: Descriptor,
    pub platforms: Vec<Platform>,
}

impl Images {
    /// Asks the registry itself, not its mirrors: the answer pins services.
    pub async fn distribution(&self, name: &Reference, auth: Option<AuthConfig>) -> Result<Distribution> {
        let name = name.clone().or_latest();
        let which = name
            .digest()
            .map_or(name.tag().unwrap_or_default(), Digest::as_str);
        let (registries, ways) = self.ways();
        let session = Session::open(&name, Access::Pull, auth, &registries, &ways).await?;
        let answer = session.manifest(which).await;
        // Here Docker says only what the registry said.
        let (text, kind) = answer.map_err(|error| match error {
            Error::NotFound(text) if text.ends_with("manifest unknown: manifest unknown") => {
                Error::NotFound("manifest unknown: manifest unknown".to_owned())
            }
            other => other,
        })?;
        let digest = Digest::of(&text);
        if name.digest().is_some_and(|promised| *promised != digest) {
            return Err(Error::Corrupt(format!(
                "manifest verification failed for digest {which}"
            )));
        }
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let descriptor = Descriptor::new(kind, digest, text.len() as u64);
        let platforms = match Document::parse(&text, kind)? {
            Document::Index(index) => index.manifests.into_iter().filter_map(|m| m.platform).collect(),
            Document::Manifest(manifest) => {
                let raw = session.small_blob(&manifest.config, CONFIG_MAX).await?;
                let config = ConfigFile::parse(&raw)?;
                vec![config.platform()]
            }
        };
        Ok(Distribution {
            descriptor,
            platforms,
        })
    }
}
