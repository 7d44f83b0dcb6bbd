//! One blob from one other node.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::manifest::Descriptor;
use crate::peers::exchange::Pull;
use crate::peers::{Ask, Piece, Pieces, Transport};
use crate::pull::download::{Toward, toward, write};
use crate::store::BlobWriter;

/// Another node has so long to begin.
const OPEN: Duration = Duration::from_secs(2);
/// Nothing moves for so long: another source is tried.
const STALL: Duration = Duration::from_secs(10);
/// Pieces on their way to the disk, and bytes of them.
const PIECES: usize = 16;
const BYTES: usize = 1 << 20;

/// Goes on where the last try stopped. Fails outright only if the disk does.
pub(super) async fn take(
    images: &Images,
    transport: &dyn Transport,
    node: &str,
    blob: &Descriptor,
    pull: Option<(&Digest, &Pull)>,
    writer: BlobWriter,
) -> Result<(BlobWriter, Result<()>)> {
    let from = writer.size();
    let ask = Ask {
        digest: blob.digest.clone(),
        offset: from,
        manifest: pull.map(|(manifest, _)| manifest.clone()),
    };
    let pieces = match open(transport, node, ask).await {
        Ok(pieces) => pieces,
        Err(error) => return Ok((writer, Err(error))),
    };
    let (send, receive) = toward(PIECES, BYTES);
    let writing = images.blocking(move |_| write(writer, from, receive));
    let pull = pull.map(|(_, pull)| pull);
    let (writer, received) = tokio::join!(writing, receive_all(node, blob, from, pieces, pull, send));
    Ok((writer?, received))
}

/// A small blob, checked.
pub(super) async fn small(
    transport: &dyn Transport,
    node: &str,
    blob: &Descriptor,
    limit: u64,
) -> Result<Vec<u8>> {
    if blob.size > limit {
        let (digest, size) = (&blob.digest, blob.size);
        return Err(Error::Corrupt(format!(
            "blob {digest} of {size} bytes is too large"
        )));
    }
    let ask = Ask {
        digest: blob.digest.clone(),
        offset: 0,
        manifest: None,
    };
    let pieces = open(transport, node, ask).await?;
    let (send, mut receive) = toward(PIECES, BYTES);
    let gather = async {
        let mut text: Vec<u8> = Vec::new();
        while let Some((chunk, _room)) = receive.recv().await {
            text.extend_from_slice(&chunk);
        }
        text
    };
    let (text, received) = tokio::join!(gather, receive_all(node, blob, 0, pieces, None, send));
    received?;
    match Digest::of(&text) == blob.digest {
        true => Ok(text),
        false => Err(Error::Corrupt(format!(
            "blob {} from node {node} does not match its digest",
            blob.digest
        ))),
    }
}

async fn open(transport: &dyn Transport, node: &str, ask: Ask) -> Result<Pieces> {
    let digest = ask.digest.clone();
    match timeout(OPEN, transport.read(node, ask)).await {
        Ok(opened) => opened,
        Err(_) => {
            transport.shun(node);
            Err(Error::Unreachable(format!(
                "node {node} did not answer for blob {digest} within {OPEN:?}"
            )))
        }
    }
}

/// Passes on what comes; ends well only with exactly the bytes that were promised.
async fn receive_all(
    node: &str,
    blob: &Descriptor,
    from: u64,
    mut pieces: Pieces,
    pull: Option<&Pull>,
    to: Toward,
) -> Result<()> {
    let digest = &blob.digest;
    let (mut have, mut sign, mut moved) = (from, None, Instant::now());
    let stalled = || Error::Unreachable(format!("node {node} sent nothing of blob {digest} for {STALL:?}"));
    loop {
        let left = STALL.saturating_sub(moved.elapsed());
        let piece = timeout(left, pieces.next()).await.map_err(|_| stalled())?;
        match piece {
            None if have == blob.size => return Ok(()),
            None => {
                return Err(Error::Unreachable(format!(
                    "blob {digest} from node {node} ended after {have} of {} bytes",
                    blob.size
                )));
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(Piece::Moved(now))) => {
                if sign.replace(now) != Some(now) {
                    moved = Instant::now();
                }
            }
            Some(Ok(Piece::Data(bytes))) => {
                moved = Instant::now();
                have += bytes.len() as u64;
                if have > blob.size {
                    return Err(Error::Corrupt(format!(
                        "blob {digest} from node {node} is larger than promised"
                    )));
                }
                if let Some(pull) = pull {
                    pull.count(bytes.len());
                }
                if !to.send(bytes).await {
                    // The disk failed; the writer says how.
                    return Ok(());
                }
            }
        }
    }
}
