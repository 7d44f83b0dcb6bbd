//! What is listed under an image's names: platforms, and statements about them.

use super::registries::descriptor;
use super::verbs::signed;
use super::{ImagesService, error, oci_platform, platform};
use crate::error::Result;
use shoal_api_backend::ListAttestations;
use shoal_api_types::image::{
    AttestationProperties, AttestationStatement, Descriptor, ImageProperties, ManifestSize, ManifestSummary,
    UnpackedSize,
};
use shoal_node_drivers_images::{Image, InUse, Listed, What};

/// What the image's names stand for.
pub(super) fn target(image: &Image) -> Descriptor {
    descriptor(image.indexes.first().unwrap_or(&image.manifest))
}

/// The image's own manifest, with the platform that it is for.
pub fn manifest(image: &Image) -> Descriptor {
    Descriptor {
        platform: Some(oci_platform(&image.config.platform())),
        ..descriptor(&image.manifest)
    }
}

impl ImagesService {
    pub(super) fn manifests(&self, image: &Image, in_use: &[InUse]) -> Vec<ManifestSummary> {
        let listed = self.store.manifests(image);
        listed.into_iter().map(|one| summary(one, in_use)).collect()
    }

    pub(super) async fn statements(
        &self,
        name: &str,
        options: ListAttestations,
    ) -> Result<Vec<AttestationStatement>> {
        let platform = options.platform.map(platform);
        let statements = self
            .store
            .attestations(name, platform, options.kinds, options.statements);
        let statements = statements.await.map_err(error)?;
        Ok(statements
            .into_iter()
            .map(|statement| AttestationStatement {
                descriptor: descriptor(&statement.descriptor),
                predicate_type: statement.predicate_type,
                statement: statement.text,
            })
            .collect())
    }
}

fn summary(one: Listed, in_use: &[InUse]) -> ManifestSummary {
    let mut total = one.content_size;
    let (mut image_data, mut attestation_data) = (None, None);
    let kind = match one.what {
        What::Image {
            platform,
            id,
            unpacked_size,
        } => {
            total = total.saturating_add(unpacked_size);
            let users = in_use.iter().filter(|user| Some(&user.image) == id.as_ref());
            image_data = Some(ImageProperties {
                platform: oci_platform(&platform),
                size: UnpackedSize {
                    unpacked: signed(unpacked_size),
                },
                containers: users.map(|user| user.container.clone()).collect(),
            });
            "image"
        }
        What::Attestation { about } => {
            attestation_data = about.map(|about| AttestationProperties {
                about: about.to_string(),
            });
            "attestation"
        }
        What::Unknown => "unknown",
    };
    ManifestSummary {
        id: one.descriptor.digest.to_string(),
        descriptor: descriptor(&one.descriptor),
        available: one.available,
        size: ManifestSize {
            content: signed(one.content_size),
            total: signed(total),
        },
        kind: kind.into(),
        image_data,
        attestation_data,
    }
}
