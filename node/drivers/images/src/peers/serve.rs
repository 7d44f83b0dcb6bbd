//! Answers to other nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::peers::offer::Asked;
use crate::peers::{Ask, Exchange, Meeting, Offer, Piece};
use crate::store::{Lease, Passing};

/// Bytes of one piece.
const PIECE: usize = 256 * 1024;
/// Pieces read ahead of a slow reader.
const AHEAD: usize = 2;
/// How often a blob that is waited for is looked for, and how often a waiting reader hears something.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const SIGN_EVERY: Duration = Duration::from_secs(1);

impl Exchange {
    /// What is here under a full name, or by an id (`sha256:` and digits at its beginning).
    pub async fn resolve(&self, name: &str) -> Result<Option<Offer>> {
        let asked = Asked::parse(name)?;
        let images = self.images.clone();
        self.images.blocking(move |_| Ok(images.offer(&asked))).await
    }

    /// The node `caller` is about to fetch the image with this manifest.
    pub fn meet(&self, caller: &str, manifest: &Digest, blobs: &[Digest]) -> Meeting {
        let store = &self.images.store;
        let held = blobs.iter().filter(|blob| store.has_blob(blob)).cloned();
        let mut meeting = Meeting {
            held: held.collect(),
            ..Meeting::default()
        };
        if let Some(pull) = self.pull(manifest) {
            let mut table = pull.table.lock();
            table.company.insert(caller.to_owned());
            meeting.pulling = true;
            meeting.fetching = table.fetching.iter().cloned().collect();
        }
        meeting
    }

    /// The pieces of a blob, kept from the collector while it is read. A receiver that is dropped ends it.
    pub fn read(self: &Arc<Self>, ask: Ask) -> mpsc::Receiver<Result<Piece>> {
        let (to, pieces) = mpsc::channel(AHEAD);
        let this = self.clone();
        tokio::spawn(async move {
            let failed = tokio::select! {
                () = to.closed() => return,
                sent = this.send(ask, &to) => sent.err(),
            };
            if let Some(error) = failed {
                // Nobody may be there any more.
                let _ = to.send(Err(error)).await;
            }
        });
        pieces
    }

    /// Sends a blob while it comes, until all of it has come. Who gets it sees by its digest whether it is right; nothing
    /// of it is known here.
    async fn pass_on(&self, mut from: Passing, ask: &Ask, signs: &mut Signs<'_>) -> Result<()> {
        let pull = || ask.manifest.as_ref().and_then(|manifest| self.pull(manifest));
        loop {
            let piece = tokio::select! {
                piece = from.next(PIECE) => piece,
                () = tokio::time::sleep(SIGN_EVERY) => {
                    let moved = pull().map_or(0, |pull| pull.moved());
                    signs.give(moved.wrapping_add(from.seen())).await;
                    continue;
                }
            };
            let piece = piece.map_err(|error| {
                let digest = &ask.digest;
                Error::Unreachable(format!("blob {digest} does not come to this node: {error}"))
            })?;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if piece.is_empty() || signs.to.send(Ok(Piece::Data(piece))).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn send(&self, ask: Ask, to: &mpsc::Sender<Result<Piece>>) -> Result<()> {
        let store = &self.images.store;
        let mut lease = Lease::reading(store);
        lease.pin(&ask.digest);
        let mut signs = Signs::new(to);
        while !store.has_blob(&ask.digest) {
            let arriving = store.arriving.of(&ask.digest);
            if let Some(arriving) = arriving
                .into_iter()
                .find_map(|growing| growing.pass_on(ask.offset))
            {
                return self.pass_on(arriving, &ask, &mut signs).await;
            }
            let pull = ask.manifest.as_ref().and_then(|manifest| self.pull(manifest));
            let moved = match pull.filter(|pull| pull.lacking.contains(&ask.digest)) {
                Some(pull) => pull.moved(),
                // It may have come between the two questions.
                None if store.has_blob(&ask.digest) => break,
                None => {
                    let digest = &ask.digest;
                    return Err(Error::NotFound(format!("blob {digest} is not on this node")));
                }
            };
            signs.give(moved).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _permit = loop {
            tokio::select! {
                permit = self.reads.acquire() => break permit,
                () = tokio::time::sleep(LOOK_EVERY) => signs.give(self.sent.load(Ordering::Relaxed)).await,
            }
        };
        let mut whole = store.whole(&ask.digest, ask.offset)?;
        let (pieces, sent) = (to.clone(), self.sent.clone());
        let path = store.paths.blob(&ask.digest);
        let sending = self.images.blocking(move |_| {
            loop {
                let piece = whole.next(PIECE);
                let piece = piece.map_err(|e| Error::storage("read blob", &path, e))?;
                let count = piece.len() as u64;
                if count == 0 || pieces.blocking_send(Ok(Piece::Data(piece))).is_err() {
                    return Ok(());
                }
                sent.fetch_add(count, Ordering::Relaxed);
            }
        });
        sending.await?;
        drop(lease);
        Ok(())
    }
}

/// What a waiting reader hears.
struct Signs<'a> {
    to: &'a mpsc::Sender<Result<Piece>>,
    last: Option<Instant>,
}

impl<'a> Signs<'a> {
    fn new(to: &'a mpsc::Sender<Result<Piece>>) -> Self {
        Self { to, last: None }
    }

    async fn give(&mut self, moved: u64) {
        if self.last.is_none_or(|last| last.elapsed() >= SIGN_EVERY) {
            self.last = Some(Instant::now());
            // A reader that is gone ends the sending elsewhere.
            let _ = self.to.send(Ok(Piece::Moved(moved))).await;
        }
    }
}
