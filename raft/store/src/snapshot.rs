//! A state as bytes: a sequence of bounded chunks, each with its own checksum, and a last one that seals them all.
//!
//! ```text
//! chunk  = body, first 8 bytes of sha256(body)
//! body   = codec::encode(Part)
//! Part   = Begin { format, applied } · Objects([..])* · End { chunks, objects, digest of all bodies }
//! ```
//! A chunk is closed as soon as it reaches the size asked for, so it exceeds that by at most one object.

use crate::state::State;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shoal_raft_objects::{Object, codec};

/// The layout written by this version.
pub const FORMAT: u32 = 1;

const SUM: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot encode a snapshot: {0}")]
    Codec(#[from] codec::Error),
    #[error("snapshot chunk {chunk} is damaged: {what}")]
    Damaged { chunk: u64, what: &'static str },
    #[error("snapshot has format {found}, this version reads up to {FORMAT}")]
    Format { found: u32 },
    #[error("snapshot ends after {chunks} chunks without its seal")]
    Truncated { chunks: u64 },
}

#[derive(Serialize, Deserialize)]
enum Part {
    Begin {
        format: u32,
        applied: u64,
    },
    Objects(Vec<Object>),
    End {
        chunks: u64,
        objects: u64,
        digest: Vec<u8>,
    },
}

/// Cuts a state into chunks of about `chunk_bytes`; lazily, so only one chunk is in memory at a time.
pub fn encode(state: &State, chunk_bytes: usize) -> impl Iterator<Item = Result<Vec<u8>, Error>> + '_ {
    Encoder {
        objects: state.objects(),
        applied: state.applied,
        chunk_bytes,
        digest: Sha256::new(),
        chunks: 0,
        count: 0,
        ended: false,
    }
}

struct Encoder<I> {
    objects: I,
    applied: u64,
    chunk_bytes: usize,
    digest: Sha256,
    chunks: u64,
    count: u64,
    ended: bool,
}

impl<I: Iterator<Item = Object>> Encoder<I> {
    fn part(&mut self) -> Result<Part, Error> {
        if self.chunks == 0 {
            return Ok(Part::Begin {
                format: FORMAT,
                applied: self.applied,
            });
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < self.chunk_bytes {
            let Some(object) = self.objects.next() else {
                break;
            };
            bytes += codec::encode(&object)?.len();
            batch.push(object);
        }
        if batch.is_empty() {
            self.ended = true;
            return Ok(Part::End {
                chunks: self.chunks,
                objects: self.count,
                digest: self.digest.clone().finalize().to_vec(),
            });
        }
        self.count += batch.len() as u64;
        Ok(Part::Objects(batch))
    }
}

impl<I: Iterator<Item = Object>> Iterator for Encoder<I> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let encoded = self.part().and_then(|part| Ok(codec::encode(&part)?));
        Some(encoded.map(|mut body| {
            self.chunks += 1;
            self.digest.update(&body);
            let sum = Sha256::digest(&body);
            body.extend_from_slice(&sum[..SUM]);
            body
        }))
    }
}

/// Puts chunks together again, in the order in which they were made.
#[derive(Default)]
pub struct Decoder {
    state: State,
    digest: Sha256,
    chunks: u64,
    count: u64,
    complete: bool,
}

impl Decoder {
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let damaged = |what| Error::Damaged {
            chunk: self.chunks,
            what,
        };
        if self.complete {
            return Err(damaged("comes after the seal"));
        }
        let body_len = chunk.len().checked_sub(SUM).ok_or(damaged("too short"))?;
        let (body, sum) = chunk.split_at(body_len);
        if Sha256::digest(body)[..SUM] != *sum {
            return Err(damaged("checksum differs"));
        }
        match codec::decode(body)? {
            Part::Begin { format, .. } if format != FORMAT => return Err(Error::Format { found: format }),
            Part::Begin { applied, .. } if self.chunks == 0 => self.state.applied = applied,
            Part::Objects(objects) if self.chunks > 0 => {
                for object in objects {
                    self.count += 1;
                    self.state.restore(object);
                }
            }
            Part::End {
                chunks,
                objects,
                digest,
            } if self.chunks > 0 => {
                if chunks != self.chunks || objects != self.count {
                    return Err(damaged("seal counts other chunks"));
                }
                if digest != self.digest.clone().finalize().as_slice() {
                    return Err(damaged("seal does not match"));
                }
                self.complete = true;
            }
            _ => return Err(damaged("out of order")),
        }
        self.digest.update(body);
        self.chunks += 1;
        Ok(())
    }

    pub fn finish(self) -> Result<State, Error> {
        if self.complete {
            Ok(self.state)
        } else {
            Err(Error::Truncated { chunks: self.chunks })
        }
    }
}

#[cfg(test)]
mod tests;
