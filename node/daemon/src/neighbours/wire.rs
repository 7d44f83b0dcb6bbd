//! What nodes say of images, between the wire's messages and the store's types.

use shoal_api_wire::images as wire;
use shoal_node_drivers_images::{Ask, Descriptor, Digest, Error, Meeting, Offer, Platform, Result};

pub fn digest(text: &str) -> Result<Digest> {
    Digest::parse(text)
}

pub fn digests(texts: &[String]) -> Result<Vec<Digest>> {
    texts.iter().map(|text| digest(text)).collect()
}

fn descriptor(from: &Descriptor) -> wire::Descriptor {
    wire::Descriptor {
        media_type: from.media_type.clone(),
        digest: from.digest.to_string(),
        size: from.size,
    }
}

fn descriptor_from(from: &wire::Descriptor) -> Result<Descriptor> {
    Ok(Descriptor::new(
        &from.media_type,
        digest(&from.digest)?,
        from.size,
    ))
}

pub fn offer(from: Offer) -> wire::Offer {
    wire::Offer {
        image_id: from.image_id.to_string(),
        os: from.platform.os,
        architecture: from.platform.architecture,
        variant: from.platform.variant,
        manifest: Some(descriptor(&from.manifest)),
        index: from.index.as_ref().map(descriptor),
        layers: from.layers.iter().map(descriptor).collect(),
        config_size: from.config_size,
        named_at: from.named_at,
        registered: from.registered,
    }
}

pub fn offer_from(from: wire::Offer) -> Result<Offer> {
    let manifest = from
        .manifest
        .as_ref()
        .ok_or_else(|| Error::Corrupt(format!("image {} is offered without a manifest", from.image_id)))?;
    Ok(Offer {
        image_id: digest(&from.image_id)?,
        platform: Platform {
            os: from.os,
            architecture: from.architecture,
            variant: from.variant,
        },
        manifest: descriptor_from(manifest)?,
        index: from.index.as_ref().map(descriptor_from).transpose()?,
        layers: from.layers.iter().map(descriptor_from).collect::<Result<_>>()?,
        config_size: from.config_size,
        named_at: from.named_at,
        registered: from.registered,
    })
}

pub fn meeting(from: Meeting) -> wire::MeetResponse {
    fn texts(digests: &[Digest]) -> Vec<String> {
        digests.iter().map(Digest::to_string).collect()
    }
    wire::MeetResponse {
        held: texts(&from.held),
        pulling: from.pulling,
        fetching: texts(&from.fetching),
    }
}

pub fn meeting_from(from: wire::MeetResponse) -> Result<Meeting> {
    Ok(Meeting {
        held: digests(&from.held)?,
        pulling: from.pulling,
        fetching: digests(&from.fetching)?,
    })
}

pub fn ask_from(from: wire::ReadRequest) -> Result<Ask> {
    let manifest = Some(&from.manifest).filter(|text| !text.is_empty());
    Ok(Ask {
        digest: digest(&from.digest)?,
        offset: from.offset,
        manifest: manifest.map(|text| digest(text)).transpose()?,
    })
}
