//! Manifests and indexes, OCI's and Docker's schema 2, and the media types that they may name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// No honest manifest or index is larger (4 MiB is also what registries refuse beyond).
pub const MANIFEST_MAX: u64 = 4 << 20;
pub const CONFIG_MAX: u64 = 8 << 20;

/// Content by type, digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What BuildKit says of a manifest that is no image: what it is, and of which image manifest it speaks.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

impl Descriptor {
    /// Whether it is listed as statements about an image, not as an image; and about which, by manifest.
    pub(crate) fn attests(&self) -> Option<Option<Digest>> {
        let kind = self.annotations.get(REFERENCE_TYPE).map(String::as_str);
        let about = || Digest::parse(self.annotations.get(REFERENCE_DIGEST)?).ok();
        (kind == Some("attestation-manifest")).then(about)
    }

    /// Whether it names no platform that anything could run on.
    pub(crate) fn is_unknown(&self) -> bool {
        let unknown = |platform: &Platform| platform.os == "unknown" || platform.architecture == "unknown";
        self.platform.as_ref().is_some_and(unknown)
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_INDEX | DOCKER_INDEX)
    }

    /// Without what its list says of it.
    pub(crate) fn plain(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }

    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

impl Manifest {
    /// Of whatever kind: statements about an image have other layers than images.
    pub(crate) fn of_anything(text: &[u8]) -> Result<Manifest> {
        serde_json::from_slice(text).map_err(|e| Error::Corrupt(format!("invalid manifest: {e}")))
    }
}

/// A document that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads a document that was served as `media_type` (empty if nobody said). The document must be of that
    /// kind and no other (CVE-2021-41190: one text that is both).
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document> {
        let invalid = |why: String| Error::Corrupt(format!("invalid manifest: {why}"));
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
        let (layers, manifests) = (value.get("layers").is_some(), value.get("manifests").is_some());
        if layers && manifests {
            return Err(invalid("has both \"layers\" and \"manifests\"".into()));
        }
        let inside = value
            .get("mediaType")
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned();
        let served = match media_type {
            "" | "application/json" | "text/plain" => inside.as_str(),
            known if !inside.is_empty() && inside != known => {
                return Err(invalid(format!("served as {known:?} but says it is {inside:?}")));
            }
            known => known,
        };
        let schema = value.get("schemaVersion").and_then(|v| v.as_u64());
        match served {
            OCI_INDEX | DOCKER_INDEX => {}
            OCI_MANIFEST | DOCKER_MANIFEST => {}
            "" if schema == Some(2) => {}
            other => {
                return Err(Error::Corrupt(format!(
                    "unsupported manifest format: {other:?} (schema {schema:?})"
                )));
            }
        }
        let index = matches!(served, OCI_INDEX | DOCKER_INDEX) || (served.is_empty() && manifests);
        match index {
            true if layers => Err(invalid("an index with layers".into())),
            true => serde_json::from_value(value)
                .map(Document::Index)
                .map_err(|e| invalid(e.to_string())),
            false => {
                let manifest: Manifest = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
                if !matches!(
                    manifest.config.media_type.as_str(),
                    OCI_CONFIG | DOCKER_CONFIG | ""
                ) {
                    return Err(Error::InvalidParameter(format!(
                        "unsupported media type {}: this is not a container image",
                        manifest.config.media_type
                    )));
                }
                manifest
                    .layers
                    .iter()
                    .try_for_each(|layer| layer_type(&layer.media_type))?;
                Ok(Document::Manifest(manifest))
            }
        }
    }
}

/// The same image in Docker's own words, for registries that know no others.
pub(crate) fn docker_manifest_of(
    id: &Digest,
    config: &[u8],
    layers: &[Descriptor],
) -> Result<(Descriptor, Vec<u8>)> {
    let translated = layers.iter().map(|layer| {
        let packed = layer.media_type.strip_prefix(OCI_LAYER).unwrap_or_default();
        let kind = format!("{DOCKER_LAYER}{}", packed.replace('+', "."));
        Descriptor::new(&kind, layer.digest.clone(), layer.size)
    });
    let manifest = Manifest {
        schema_version: 2,
        media_type: DOCKER_MANIFEST.to_owned(),
        config: Descriptor::new(DOCKER_CONFIG, id.clone(), config.len() as u64),
        layers: translated.collect(),
    };
    let text =
        serde_json::to_vec(&manifest).map_err(|e| Error::Corrupt(format!("cannot encode manifest: {e}")))?;
    Ok((
        Descriptor::new(DOCKER_MANIFEST, Digest::of(&text), text.len() as u64),
        text,
    ))
}

impl Index {
    /// Its media type, which OCI does not oblige it to say.
    pub(crate) fn kind(&self) -> &'static str {
        if self.media_type == DOCKER_INDEX {
            DOCKER_INDEX
        } else {
            OCI_INDEX
        }
    }

    /// The manifest for a platform. Attestations and the like carry the platform `unknown/unknown`.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        let ranked = self.manifests.iter().filter_map(|d| {
            let rank = wanted.rank(d.platform.as_ref()?)?;
            Some((rank, d))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, d)| d)
    }

    /// The statements about one of its images, by that image's manifest.
    pub(crate) fn attestations<'a>(&'a self, image: &'a Digest) -> impl Iterator<Item = &'a Descriptor> {
        self.manifests
            .iter()
            .filter(move |d| d.attests().flatten().as_ref() == Some(image))
    }
}

/// How a layer is packed is seen from its first bytes; its type is only checked to be one that is a layer.
fn layer_type(media_type: &str) -> Result<()> {
    let known = [OCI_LAYER, DOCKER_LAYER].iter().any(|base| {
        let rest = media_type.strip_prefix(base);
        rest.is_some_and(|rest| matches!(rest, "" | ".gzip" | "+gzip" | ".zstd" | "+zstd"))
    });
    match known {
        true => Ok(()),
        false => Err(Error::InvalidParameter(format!(
            "unsupported layer media type {media_type:?}"
        ))),
    }
}
