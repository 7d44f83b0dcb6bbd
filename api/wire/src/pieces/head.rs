//! What comes before the bytes of a piece: gRPC's prefix and the field's key and length.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint};

/// Fields of `Piece`.
const DATA: u32 = 1;
const MOVED: u32 = 2;
/// No compression, and the length of the message.
const PREFIX: usize = 5;
/// Prefix, key and a number of at most ten bytes.
const HEAD_MAX: usize = PREFIX + 1 + 10;

/// What a head says that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// So many bytes of a blob.
    Data(u64),
    /// Nothing: a sign of life.
    Moved(u64),
}

/// Of a piece with so many bytes that follow, or of a sign of life.
pub(super) fn encode(head: Head) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD_MAX);
    let (field, wire, number, follow) = match head {
        Head::Data(len) => (DATA, WireType::LengthDelimited, len, len),
        Head::Moved(moved) => (MOVED, WireType::Varint, moved, 0),
    };
    let len = 1 + encoded_len_varint(number) as u64 + follow;
    message.put_u8(0);
    // A piece is far smaller than what the four bytes can say.
    message.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    encode_key(field, wire, &mut message);
    encode_varint(number, &mut message);
    message.freeze()
}

/// A head that comes in parts.
#[derive(Debug, Default)]
pub(super) struct Partly(Vec<u8>);

impl Partly {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what belongs to a head from the front of `bytes`; gives it once it is whole.
    pub fn take(&mut self, bytes: &mut Bytes) -> Result<Option<Head>, String> {
        while !bytes.is_empty() {
            self.0.extend_from_slice(&bytes.split_to(1));
            if let Some(head) = parse(&self.0)? {
                self.0.clear();
                return Ok(Some(head));
            }
            if self.0.len() >= HEAD_MAX {
                return Err("a number without an end".to_owned());
            }
        }
        Ok(None)
    }
}

/// `None` while something of it is missing.
fn parse(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some((&[flag, a, b, c, d], message)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    if flag != 0 {
        return Err(format!("a message packed as {flag}, which was not asked for"));
    }
    let len = u64::from(u32::from_be_bytes([a, b, c, d]));
    if len == 0 {
        return Ok(Some(Head::Moved(0)));
    }
    let Some((&key, mut number)) = message.split_first() else {
        return Ok(None);
    };
    // The number's last byte is the first without the upper bit.
    if number.iter().all(|byte| byte & 0x80 != 0) {
        return Ok(None);
    }
    let size = 1 + number.len() as u64;
    let number = decode_varint(&mut number).map_err(|e| e.to_string())?;
    let (field, wire) = (u32::from(key >> 3), key & 7);
    let (head, end) = match (field, wire) {
        (DATA, 2) => (Head::Data(number), size.checked_add(number)),
        (MOVED, 0) => (Head::Moved(number), Some(size)),
        _ => return Err(format!("field {field} of type {wire}")),
    };
    match end == Some(len) {
        true => Ok(Some(head)),
        false => Err(format!(
            "a message of {len} bytes that does not end with its field"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Piece;
    use prost::Message;

    /// As tonic would send it.
    fn message(piece: &Piece) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(piece.encoded_len() as u32);
        piece.encode(&mut bytes).expect("room");
        bytes.freeze()
    }

    #[test]
    fn a_head_and_its_bytes_are_the_message() {
        for len in [1, 127, 128, 5000, 300_000] {
            let data = Bytes::from(vec![7; len]);
            let whole = message(&Piece {
                data: data.clone(),
                moved: 0,
            });
            let head = encode(Head::Data(len as u64));
            assert_eq!(whole[..head.len()], head);
            assert_eq!(whole[head.len()..], data);
        }
        for moved in [1, 300, u64::MAX] {
            let data = Bytes::new();
            assert_eq!(message(&Piece { data, moved }), encode(Head::Moved(moved)));
        }
    }

    #[test]
    fn heads_come_in_any_parts() {
        let nothing = Piece::default();
        for (bytes, head) in [
            (encode(Head::Data(70_000)), Head::Data(70_000)),
            (encode(Head::Moved(u64::MAX)), Head::Moved(u64::MAX)),
            (message(&nothing), Head::Moved(0)),
        ] {
            for at in 0..bytes.len() {
                let (mut first, mut rest) = (bytes.slice(..at), bytes.slice(at..));
                let mut partly = Partly::default();
                assert_eq!(partly.take(&mut first), Ok(None));
                assert_eq!(partly.take(&mut rest), Ok(Some(head)));
                assert!(partly.is_empty() && rest.is_empty());
            }
        }
    }

    #[test]
    fn other_messages_are_refused() {
        let packed = [1, 0, 0, 0, 2, 0x0a, 0];
        let unknown = [0, 0, 0, 0, 2, 0x1a, 0];
        let short = [0, 0, 0, 0, 2, 0x0a, 9];
        let long = [0, 0, 0, 0, 9, 0x10, 1];
        let endless = [
            0, 0, 0, 0, 20, 0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        let wide = [
            0, 0, 0, 0, 11, 0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1,
        ];
        for bytes in [&packed[..], &unknown, &short, &long, &endless, &wide] {
            let mut bytes = Bytes::copy_from_slice(bytes);
            assert!(Partly::default().take(&mut bytes).is_err(), "{bytes:?}");
        }
    }
}
