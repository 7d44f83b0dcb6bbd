//! From a name to a manifest and its configuration.

use crate::config::ConfigFile;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::Incoming;
use crate::lookup;
use crate::manifest::{CONFIG_MAX, Descriptor, Document, MANIFEST_MAX, Manifest};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Session;
use crate::store::Lease;

/// Statements about one image that are asked for: BuildKit makes one manifest of them.
const ATTESTATIONS_MAX: usize = 4;

/// What a registry has under a name.
pub(super) struct Resolved {
    pub image: Incoming,
    /// What the name stands for: the index's digest if there is one.
    pub digest: Digest,
    pub index: Option<Descriptor>,
    /// Manifests that speak of the image.
    pub attestations: Vec<Descriptor>,
}

impl Images {
    /// Follows the name to a manifest and its configuration; all that is kept is pinned. `said` is what the registry said that
    /// the name stands for.
    pub(super) async fn resolve(
        &self,
        session: &Session,
        name: &Reference,
        which: &str,
        platform: Option<Platform>,
        said: Option<&Digest>,
        lease: &mut Lease,
    ) -> Result<Resolved> {
        let wanted = platform.clone().unwrap_or_else(Platform::host);
        let (text, kind) = self.top(session, name, which, said, lease).await?;
        let digest = Digest::of(&text);
        if let Some(promised) = name.digest()
            && *promised != digest
        {
            return Err(mismatch(promised));
        }
        let top = served(&text, &kind);
        let (manifest, descriptor, index, attestations) = match Document::parse(&text, &kind)? {
            Document::Manifest(manifest) => {
                self.keep(lease, text).await?;
                (manifest, top, None, Vec::new())
            }
            Document::Index(index) => {
                let chosen = index.select(&wanted).ok_or_else(|| {
                    Error::NotFound(format!(
                        "no matching manifest for {wanted} in the manifest list entries: no match for platform in \
                         manifest: not found"
                    ))
                })?;
                self.keep(lease, text).await?;
                let (text, below) = match self.here(lease, chosen, MANIFEST_MAX).await {
                    Some(text) => (text, chosen.plain()),
                    None => {
                        let (text, kind) = session.manifest(chosen.digest.as_str()).await?;
                        let below = served(&text, &kind);
                        (text, below)
                    }
                };
                if below.digest != chosen.digest || below.size != chosen.size {
                    return Err(mismatch(&chosen.digest));
                }
                let Document::Manifest(manifest) = Document::parse(&text, &below.media_type)? else {
                    return Err(Error::Corrupt(format!(
                        "{} is an index within an index",
                        chosen.digest
                    )));
                };
                self.keep(lease, text).await?;
                let attestations = index.attestations(&chosen.digest).take(ATTESTATIONS_MAX);
                let attestations = attestations.cloned().collect();
                (manifest, below, Some(top), attestations)
            }
        };
        let raw = match self.here(lease, &manifest.config, CONFIG_MAX).await {
            Some(raw) => raw,
            None => session.small_blob(&manifest.config, CONFIG_MAX).await?,
        };
        let config = ConfigFile::parse(&raw)?;
        let own = config.platform();
        if platform.is_some() && index.is_none() && !wanted.accepts(&own) {
            return Err(lookup::other_platform(&name.familiar(), &own, &wanted));
        }
        self.keep(lease, raw.clone()).await?;
        let image = Incoming {
            id: manifest.config.digest,
            raw_config: raw,
            config,
            layers: manifest.layers,
            manifest: descriptor,
        };
        Ok(Resolved {
            image,
            digest,
            index,
            attestations,
        })
    }

    /// The text of what a name stands for and what it was served as. It need not come again if it is still what is here.
    async fn top(
        &self,
        session: &Session,
        name: &Reference,
        which: &str,
        said: Option<&Digest>,
        lease: &mut Lease,
    ) -> Result<(Vec<u8>, String)> {
        let known = self.store.state.lock().stands_for(name);
        if let Some(known) = known
            && said == Some(&known.digest)
            && let Some(text) = self.here(lease, &known, MANIFEST_MAX).await
        {
            return Ok((text, known.media_type));
        }
        session.manifest(which).await
    }

    /// A manifest of statements about an image, with what it names still to be fetched.
    pub(super) async fn attestation(
        &self,
        session: &Session,
        listed: &Descriptor,
        lease: &mut Lease,
    ) -> Result<Vec<Descriptor>> {
        let text = match self.here(lease, listed, MANIFEST_MAX).await {
            Some(text) => text,
            None => session.manifest(listed.digest.as_str()).await?.0,
        };
        if Digest::of(&text) != listed.digest || text.len() as u64 != listed.size {
            return Err(mismatch(&listed.digest));
        }
        let manifest = Manifest::of_anything(&text)?;
        let blobs: Vec<_> = std::iter::once(manifest.config).chain(manifest.layers).collect();
        for blob in &blobs {
            lease.pin(&blob.digest);
        }
        self.keep(lease, text).await?;
        Ok(blobs)
    }

    /// A small blob that need not be fetched, since it is here; pinned.
    async fn here(&self, lease: &mut Lease, blob: &Descriptor, limit: u64) -> Option<Vec<u8>> {
        lease.pin(&blob.digest);
        let digest = blob.digest.clone();
        {
            let state = self.store.state.lock();
            if let Some(image) = state.images.get(&digest) {
                return Some(image.raw.to_vec()).filter(|text| text.len() as u64 == blob.size);
            }
            if !state.blobs.contains(&digest) {
                return None;
            }
        }
        let read = self.blocking(move |store| store.read_blob(&digest, limit)).await;
        read.ok().filter(|text| text.len() as u64 == blob.size)
    }

    async fn keep(&self, lease: &mut Lease, text: Vec<u8>) -> Result<()> {
        let digest = Digest::of(&text);
        lease.pin(&digest);
        match self.store.has_blob(&digest) {
            true => Ok(()),
            false => self.blocking(move |store| store.put_blob(&text).map(drop)).await,
        }
    }
}

fn served(text: &[u8], kind: &str) -> Descriptor {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    Descriptor::new(kind, Digest::of(text), text.len() as u64)
}

fn mismatch(promised: &Digest) -> Error {
    Error::Corrupt(format!("manifest verification failed for digest {promised}"))
}
