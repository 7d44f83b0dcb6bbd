//! The one encoding of objects, in the log, in snapshots and on the wire.
//!
//! A format byte, then MessagePack with named fields: a reader ignores fields it does not know and takes defaults
//! for those that are missing, so managers of neighbouring versions understand each other.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The format written by this version. Readers refuse formats above it.
pub const FORMAT: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot encode a cluster record: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("cannot decode a cluster record: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("empty cluster record")]
    Empty,
    #[error("cluster record has format {found}, this version reads up to {FORMAT}")]
    Format { found: u8 },
}

pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(256);
    out.push(FORMAT);
    rmp_serde::encode::write_named(&mut out, value)?;
    Ok(out)
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        None => Err(Error::Empty),
        Some((&FORMAT, body)) => Ok(rmp_serde::from_slice(body)?),
        Some((&found, _)) => Err(Error::Format { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, Proposal, Service, Time, Write};

    #[test]
    fn a_service_survives_with_members_unknown_to_us() {
        let spec = serde_json::json!({
            "Name": "web", "Labels": {"a": "b"},
            "TaskTemplate": {
                "ContainerSpec": {"Image": "busybox", "Args": ["sleep", "1"], "FromTheFuture": {"x": [1, null]}},
                "RestartPolicy": {"Condition": "on-failure", "Delay": 5},
                "ForceUpdate": 0
            },
            "Mode": {"Replicated": {"Replicas": 3}},
            "UpdateConfig": {"Parallelism": 1, "MaxFailureRatio": 0.5}
        });
        let service = Service {
            id: "abc".into(),
            spec: serde_json::from_value(spec.clone()).unwrap(),
            ..Default::default()
        };
        let proposal = Proposal {
            at: Time(7),
            writes: vec![Write::Create(Object::from(service.clone()))],
        };
        let back: Proposal = decode(&encode(&proposal).unwrap()).unwrap();
        assert_eq!(back, proposal);
        assert_eq!(serde_json::to_value(&service.spec).unwrap(), spec);
    }

    #[test]
    fn foreign_formats_are_refused() {
        assert!(matches!(decode::<Time>(&[]), Err(Error::Empty)));
        assert!(matches!(decode::<Time>(&[9, 1]), Err(Error::Format { found: 9 })));
        assert!(matches!(decode::<Time>(&[FORMAT, 0xc1]), Err(Error::Decode(_))));
    }
}
