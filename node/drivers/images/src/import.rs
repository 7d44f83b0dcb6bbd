//! An image from a tar of a root file system.

use std::io::{self, BufReader, Read, Write};

use bytes::Bytes;
use futures_util::Stream;

use crate::bridge;
use crate::config::{self, ConfigFile, History, RootFs};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::manifest_of;
use crate::manifest::{Descriptor, OCI_LAYER, OCI_MANIFEST};
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;
use crate::registry::Remote;
use crate::store::records::{FORMAT, ImageRecord};
use crate::store::{BlobWriter, Lease, Store};
use crate::unpack::{Compression, Warm, decompress};
use shoal_api_types::image::ImageConfig;

impl Images {
    /// A file to import, from its URL: when this returns its server has answered.
    pub async fn remote(&self, source: &str) -> Result<Remote> {
        Remote::open(source, &self.registries()).await
    }

    /// Makes an image of one layer from a tar (plain, gzip or zstd). `configure` may change its configuration
    /// (`--change`) before it is fixed. Returns the image's id, and sends it as last status.
    pub async fn import(
        &self,
        source: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
        name: Option<&Reference>,
        configure: impl FnOnce(&mut ImageConfig) -> Result<()> + Send + 'static,
        message: &str,
        platform: Option<Platform>,
        sink: &Sink,
    ) -> Result<String> {
        let platform = platform.unwrap_or_else(Platform::host);
        let message = if message.is_empty() {
            "Imported from -".to_owned()
        } else {
            message.to_owned()
        };
        let name = name.cloned();
        let (reader, feed) = bridge::reader(source);
        let mut lease = Lease::building(&self.store);
        let work = self.blocking(move |store| {
            // First: a change that cannot be made costs no unpacking.
            let mut run = ImageConfig::default();
            configure(&mut run)?;
            let blob = spool(store, &mut lease, reader)?;
            let layer = store.unpack(&blob, None, &Warm::default(), |_| {})?;
            let (diff_id, chain) = (layer.record.diff_id.clone(), layer.record.chain.clone());
            lease.pin(&chain);
            store.register(layer)?;
            let created = config::now();
            let file = ConfigFile {
                architecture: platform.architecture,
                variant: platform.variant,
                os: platform.os,
                created: Some(created.clone()),
                comment: message.clone(),
                config: run,
                rootfs: RootFs {
                    diff_ids: vec![diff_id],
                    ..RootFs::default()
                },
                history: vec![History {
                    created: Some(created),
                    comment: message,
                    ..History::default()
                }],
                ..ConfigFile::default()
            };
            let raw = serde_json::to_vec(&file).map_err(|e| Error::InvalidParameter(e.to_string()))?;
            let id = Digest::of(&raw);
            lease.pin(&id);
            store.put_blob(&raw)?;
            let (_, text) = manifest_of(&id, &raw, &[blob])?;
            let manifest = Descriptor::new(OCI_MANIFEST, Digest::of(&text), text.len() as u64);
            lease.pin(&manifest.digest);
            store.put_blob(&text)?;
            let record = ImageRecord {
                format: FORMAT,
                id: id.clone(),
                manifest,
                layers: vec![chain],
                packed: Vec::new(),
                parent: None,
                added: config::now(),
            };
            store.commit(record, raw, &name.into())?;
            lease.done();
            Ok(id.to_string())
        });
        let (id, ()) = tokio::join!(work, feed);
        let id = id?;
        sink.status("", id.clone()).await;
        Ok(id)
    }
}

/// Stores a layer as it comes and says what it is.
fn spool(store: &Store, lease: &mut Lease, mut source: impl Read) -> Result<Descriptor> {
    let mut blob = BlobWriter::new(store)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                return Err(Error::InvalidParameter(format!(
                    "cannot read the archive: {error}"
                )));
            }
        };
        let written = blob.write_all(&buffer[..count]);
        written.map_err(|e| Error::storage("write", blob.path(), e))?;
    }
    let size = blob.size();
    let digest = blob.digest();
    lease.pin(&digest);
    blob.store(store, None)?;
    let media_type = layer_type(store, &digest)?;
    Ok(Descriptor::new(media_type, digest, size))
}

/// The media type of a stored layer, from its first bytes.
pub(crate) fn layer_type(store: &Store, digest: &Digest) -> Result<&'static str> {
    let file = store.open_blob(digest)?;
    let (compression, _) =
        decompress(BufReader::new(file)).map_err(|e| Error::InvalidParameter(e.to_string()))?;
    Ok(match compression {
        Compression::None => OCI_LAYER,
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    })
}
