//! Framing: a 4-byte little-endian length, then one MessagePack value with named fields; and the 8-byte header
//! that Docker puts before every piece of output of a container without a terminal.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No message is longer than this: 8 MiB holds any process description that the kernel would accept.
pub const LENGTH_MAX: usize = 8 << 20;

/// Docker's stream numbers.
pub const STDOUT: u8 = 1;
pub const STDERR: u8 = 2;

/// A frame that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("encode a shim message: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("decode a shim message: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("a shim message of {0} bytes is longer than {LENGTH_MAX}")]
    TooLong(usize),
}

/// One value with its length in front.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; 4];
    value.serialize(&mut rmp_serde::Serializer::new(&mut out).with_struct_map())?;
    let length = out.len() - 4;
    if length > LENGTH_MAX {
        return Err(Error::TooLong(length));
    }
    out[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(out)
}

/// The length of the frame whose first four bytes are `head`.
pub fn length(head: [u8; 4]) -> Result<usize, Error> {
    let length = u32::from_le_bytes(head) as usize;
    if length > LENGTH_MAX {
        return Err(Error::TooLong(length));
    }
    Ok(length)
}

/// The value of a frame without its length.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    Ok(rmp_serde::from_slice(body)?)
}

/// If `buffer` starts with a whole frame, its value and how many bytes it took.
pub fn take<T: DeserializeOwned>(buffer: &[u8]) -> Result<Option<(T, usize)>, Error> {
    let Some(head) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let end = 4 + length(*head)?;
    match buffer.get(4..end) {
        Some(body) => Ok(Some((decode(body)?, end))),
        None => Ok(None),
    }
}

/// Docker's header for `length` bytes of `stream`.
pub fn stream_header(stream: u8, length: usize) -> [u8; 8] {
    let mut head = [0; 8];
    head[0] = stream;
    head[4..].copy_from_slice(&(length as u32).to_be_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, Target};

    #[test]
    fn frames_come_back_one_by_one() {
        let mut bytes = encode(&Request::Signal {
            target: Target::Exec("x".into()),
            signal: 9,
        })
        .unwrap();
        let first = bytes.len();
        bytes.extend(encode(&Request::Start).unwrap());
        assert!(take::<Request>(&bytes[..3]).unwrap().is_none());
        assert!(take::<Request>(&bytes[..first - 1]).unwrap().is_none());
        let (request, used) = take::<Request>(&bytes).unwrap().unwrap();
        assert!(matches!(request, Request::Signal { signal: 9, .. }));
        assert_eq!(used, first);
        let (request, used) = take::<Request>(&bytes[first..]).unwrap().unwrap();
        assert!(matches!(request, Request::Start));
        assert_eq!(used, bytes.len() - first);
    }

    #[test]
    fn an_absurd_length_is_refused_before_any_buffer_grows() {
        assert!(take::<Request>(&[0xff, 0xff, 0xff, 0x7f]).is_err());
    }

    #[test]
    fn a_whole_spec_survives() {
        let spec = oci_spec::runtime::Spec::default();
        let bytes = encode(&spec).unwrap();
        let (back, _) = take::<oci_spec::runtime::Spec>(&bytes).unwrap().unwrap();
        assert_eq!(spec, back);
    }

    #[test]
    fn docker_header() {
        assert_eq!(stream_header(STDERR, 0x01_02_03), [2, 0, 0, 0, 0, 1, 2, 3]);
    }
}
