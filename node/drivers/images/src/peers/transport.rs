//! How another node is asked.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::digest::Digest;
use crate::error::Result;
use crate::peers::Offer;

/// Carries questions to other nodes and their answers back. Nodes go by their ids.
pub trait Transport: Send + Sync + 'static {
    /// This node.
    fn me(&self) -> String;

    /// The others that can be asked now.
    fn others(&self) -> Vec<String>;

    /// What a node has under a full name.
    fn resolve<'a>(&'a self, node: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Offer>>>;

    /// Tells a node that this one is about to fetch the image with this manifest, made of these blobs.
    fn meet<'a>(
        &'a self,
        node: &'a str,
        manifest: &'a Digest,
        blobs: &'a [Digest],
    ) -> BoxFuture<'a, Result<Meeting>>;

    fn read<'a>(&'a self, node: &'a str, ask: Ask) -> BoxFuture<'a, Result<Pieces>>;

    /// It did not answer in time.
    fn shun(&self, node: &str);
}

/// How a node stands to an image that another one is about to fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meeting {
    /// Blobs of it that are there.
    pub held: Vec<Digest>,
    /// It fetches the same image.
    pub pulling: bool,
    /// Blobs that it is getting from the registry now.
    pub fetching: Vec<Digest>,
}

/// A blob from an offset on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub digest: Digest,
    pub offset: u64,
    /// Wait for the blob as long as the node fetches the image with this manifest.
    pub manifest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Data(Bytes),
    /// A sign of life while there is nothing to send; the number changes as long as something goes on.
    Moved(u64),
}

pub type Pieces = BoxStream<'static, Result<Piece>>;
