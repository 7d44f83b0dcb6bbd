//! Reading answers: never more than was bargained for, never waiting for ever.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::{Error, Result};

/// A whole answer of at most `limit` bytes.
pub(super) async fn small(mut body: Incoming, limit: u64, idle: Duration) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(&mut body, idle).await? {
        if bytes.len() as u64 + chunk.len() as u64 > limit {
            return Err(Error::Corrupt(format!(
                "the registry's answer is larger than {limit} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The next piece; `None` at the end. An end that comes too early is for the caller to see.
pub(super) async fn chunk(body: &mut Incoming, idle: Duration) -> Result<Option<Bytes>> {
    loop {
        match tokio::time::timeout(idle, body.frame()).await {
            Err(_) => {
                return Err(Error::Unreachable(
                    "the registry stopped sending: i/o timeout".to_owned(),
                ));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(Error::Unreachable(format!(
                    "the connection to the registry broke: {error}"
                )));
            }
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
