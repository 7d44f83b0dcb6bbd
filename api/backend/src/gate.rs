//! Who may call: asked before a handler sees a request and before a client sees its answer.

use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;

/// A request as it is asked about: what the handler will act on, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    pub method: String,
    /// As the client wrote it, with version and query.
    pub uri: String,
    /// Canonical names (`Content-Type`); without those that hold credentials.
    pub headers: BTreeMap<String, String>,
    /// None for a body that is a stream of bytes (archives, images, attached input), and where it holds credentials.
    pub body: Option<Bytes>,
    /// The client's certificates in DER, its own first; none without TLS.
    pub certificates: Vec<Vec<u8>>,
}

/// An answer that is about to be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallAnswer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    /// None for a stream.
    pub body: Option<Bytes>,
}

/// Whoever is asked. An error is a refusal; it goes to the client instead of an answer.
#[async_trait]
pub trait Gatekeeper: Send + Sync + 'static {
    /// Whether there is anybody to ask; if not, bodies are not held back.
    fn is_there(&self) -> bool;
    async fn may_call(&self, call: &Call) -> Result<()>;
    async fn may_answer(&self, call: &Call, answer: &CallAnswer) -> Result<()>;
}
