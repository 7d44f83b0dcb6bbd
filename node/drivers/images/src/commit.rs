//! An image from another one and a layer on top.

use std::io::Write;

use crate::config::{self, ConfigFile, History};
use crate::digest::{Digest, chain_ids};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::images::Images;
use crate::install::manifest_of;
use crate::manifest::{Descriptor, OCI_LAYER, OCI_MANIFEST};
use crate::reference::Reference;
use crate::store::records::{FORMAT, ImageRecord};
use crate::store::{BlobWriter, Lease, Place, Store};
use crate::unpack::Warm;
use shoal_api_types::image::ImageConfig;

/// What the new image adds to its parent.
#[derive(Debug, Clone, Default)]
pub struct Child {
    pub name: Option<Reference>,
    pub author: String,
    pub comment: String,
    /// What made the layer, for the history.
    pub created_by: String,
    /// The version of the engine that does it.
    pub made_by: String,
    pub config: ImageConfig,
}

impl Images {
    /// Makes an image whose layers are the parent's and what `layer` writes, a tar as of an image layer; it says
    /// whether there was anything to write. Returns the new id.
    pub async fn commit(
        &self,
        parent: &Image,
        child: Child,
        layer: impl FnOnce(&mut dyn Write) -> Result<bool> + Send + 'static,
    ) -> Result<String> {
        let mut lease = Lease::building(&self.store);
        let parent = parent.clone();
        self.blocking(move |store| {
            let mut chains = parent.layers.clone();
            chains.iter().for_each(|chain| lease.pin(chain));
            let blobs = chains.iter().map(|chain| {
                let gone = || Error::no_such_image(&parent.id);
                store.layer_blob(chain).ok_or_else(gone)
            });
            let mut blobs = blobs.collect::<Result<Vec<_>>>()?;
            blobs.iter().for_each(|blob| lease.pin(&blob.digest));
            let mut file = file(&parent, &child);
            let (blob, any) = spool(store, &mut lease, layer)?;
            if any {
                file.rootfs.diff_ids.push(blob.digest.clone());
                let chain = chain_ids(&file.rootfs.diff_ids).pop();
                let chain = chain.ok_or_else(|| Error::Corrupt("an image without layers".into()))?;
                lease.pin(&chain);
                if !store.has_layer(&chain) {
                    let place = Place {
                        diff_id: blob.digest.clone(),
                        chain: chain.clone(),
                        parent: chains.last().cloned(),
                    };
                    let layer = store.unpack(&blob, Some(&place), &Warm::default(), |_| {})?;
                    store.register(layer)?;
                }
                chains.push(chain);
                blobs.push(blob);
            } else if let Some(step) = file.history.last_mut() {
                step.empty_layer = true;
            }
            let raw = serde_json::to_vec(&file).map_err(|e| Error::InvalidParameter(e.to_string()))?;
            let id = Digest::of(&raw);
            lease.pin(&id);
            store.put_blob(&raw)?;
            let (_, text) = manifest_of(&id, &raw, &blobs)?;
            let manifest = Descriptor::new(OCI_MANIFEST, Digest::of(&text), text.len() as u64);
            lease.pin(&manifest.digest);
            store.put_blob(&text)?;
            let record = ImageRecord {
                format: FORMAT,
                id: id.clone(),
                manifest,
                layers: chains,
                packed: Vec::new(),
                parent: Digest::parse(&parent.id).ok(),
                added: config::now(),
            };
            store.commit(record, raw, &child.name.into())?;
            lease.done();
            Ok(id.to_string())
        })
        .await
    }
}

/// The configuration, still without the new layer.
fn file(parent: &Image, child: &Child) -> ConfigFile {
    let created = config::now();
    let mut file = (*parent.config).clone();
    file.history.push(History {
        created: Some(created.clone()),
        created_by: child.created_by.clone(),
        author: child.author.clone(),
        comment: child.comment.clone(),
        empty_layer: false,
    });
    ConfigFile {
        created: Some(created),
        author: child.author.clone(),
        comment: child.comment.clone(),
        docker_version: child.made_by.clone(),
        config: child.config.clone(),
        ..file
    }
}

/// Stores a layer as it is written. Not compressed, its digest is the layer's DiffID.
fn spool(
    store: &Store,
    lease: &mut Lease,
    layer: impl FnOnce(&mut dyn Write) -> Result<bool>,
) -> Result<(Descriptor, bool)> {
    let mut blob = BlobWriter::new(store)?;
    let any = layer(&mut blob)?;
    let size = blob.size();
    let digest = blob.digest();
    if any {
        lease.pin(&digest);
        blob.store(store, None)?;
    }
    Ok((Descriptor::new(OCI_LAYER, digest, size), any))
}
