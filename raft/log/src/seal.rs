//! Every record on disk is sealed: a format byte, a random nonce, and the ciphertext bound to its place.

use crate::key::DataKey;
use chacha20poly1305::aead::{Aead, AeadCore, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::io;

const FORMAT: u8 = 1;
const NONCE: usize = 24;

/// Why a record could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Unsealed {
    #[error("record in {place} has format {found}, this version reads {FORMAT}")]
    Format { place: &'static str, found: u8 },
    #[error("record in {place} is damaged, or was sealed with another key")]
    Damaged { place: &'static str },
}

impl From<Unsealed> for io::Error {
    fn from(error: Unsealed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub fn new(key: &DataKey) -> Sealer {
        Sealer(key.cipher())
    }

    /// `place` and `key` are authenticated with the record, so one record cannot be put in another's place.
    pub fn seal(&self, place: &'static str, key: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload {
            msg: plain,
            aad: &bound(place, key),
        };
        let sealed = self
            .0
            .encrypt(&nonce, payload)
            .map_err(|_| io::Error::other(format!("cannot seal {} bytes for {place}", plain.len())))?;
        let mut out = Vec::with_capacity(1 + NONCE + sealed.len());
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    pub fn open(&self, place: &'static str, key: &[u8], record: &[u8]) -> Result<Vec<u8>, Unsealed> {
        match record.first() {
            Some(&FORMAT) if record.len() > NONCE => {}
            Some(&found) if found != FORMAT => return Err(Unsealed::Format { place, found }),
            _ => return Err(Unsealed::Damaged { place }),
        }
        let payload = Payload {
            msg: &record[1 + NONCE..],
            aad: &bound(place, key),
        };
        self.0
            .decrypt(XNonce::from_slice(&record[1..=NONCE]), payload)
            .map_err(|_| Unsealed::Damaged { place })
    }
}

fn bound(place: &str, key: &[u8]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(place.len() + 1 + key.len());
    aad.extend_from_slice(place.as_bytes());
    aad.push(0);
    aad.extend_from_slice(key);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_with_its_key_in_its_place() {
        let sealer = Sealer::new(&DataKey::generate());
        let record = sealer.seal("log", b"7", b"canary").unwrap();
        assert_eq!(sealer.open("log", b"7", &record).unwrap(), b"canary");
        assert!(!record.windows(6).any(|w| w == b"canary"));
        let damaged = |opened: Result<Vec<u8>, Unsealed>| matches!(opened, Err(Unsealed::Damaged { .. }));
        assert!(damaged(sealer.open("log", b"8", &record)), "another index");
        assert!(damaged(sealer.open("meta", b"7", &record)), "another table");
        let other = Sealer::new(&DataKey::generate());
        assert!(damaged(other.open("log", b"7", &record)), "another key");
        for cut in 1..record.len() {
            assert!(damaged(sealer.open("log", b"7", &record[..cut])), "cut at {cut}");
        }
        assert!(sealer.open("log", b"7", &[]).is_err());
        let mut newer = record;
        newer[0] = 2;
        assert!(matches!(
            sealer.open("log", b"7", &newer),
            Err(Unsealed::Format { found: 2, .. })
        ));
    }
}
