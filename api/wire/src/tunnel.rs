//! A byte stream inside a `Forward.Tunnel` call, on both of its ends.
//!
//! Each direction ends on its own: shutting down the write half ends this side's message stream, and the end of the
//! other side's is read as the end of the file. A call that breaks ends both.

use crate::forward::{Chunk, forward_client::ForwardClient};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// Bytes held per direction before the writer waits.
const BUFFER_BYTES: usize = 64 * 1024;
/// Chunks under way per direction.
const CHUNKS: usize = 8;

/// Metadata key that marks a tunnel which a manager passes on: such a one is never passed on again.
pub const RELAYED: &str = "shoal-relayed";

/// What the answering side sends.
pub type Answer = ReceiverStream<Result<Chunk, Status>>;

/// Opens a tunnel through `channel`. `relayed` marks it as passed on for somebody else.
pub async fn open(channel: Channel, relayed: bool) -> Result<DuplexStream, Status> {
    let (near, far) = tokio::io::duplex(BUFFER_BYTES);
    let (out, requests) = mpsc::channel(CHUNKS);
    let mut request = Request::new(ReceiverStream::new(requests));
    if relayed {
        request
            .metadata_mut()
            .insert(RELAYED, tonic::metadata::MetadataValue::from_static("1"));
    }
    let (read, write) = tokio::io::split(far);
    tokio::spawn(send(read, out, |chunk| chunk));
    let answers = ForwardClient::new(channel).tunnel(request).await?.into_inner();
    tokio::spawn(receive(answers, write));
    Ok(near)
}

/// The answering side: gives the byte stream to serve and the messages to answer with.
pub fn accept(requests: Streaming<Chunk>) -> (DuplexStream, Answer) {
    let (near, far) = tokio::io::duplex(BUFFER_BYTES);
    let (out, answers) = mpsc::channel(CHUNKS);
    let (read, write) = tokio::io::split(far);
    tokio::spawn(send(read, out, Ok));
    tokio::spawn(receive(requests, write));
    (near, ReceiverStream::new(answers))
}

async fn send<T>(mut from: tokio::io::ReadHalf<DuplexStream>, to: mpsc::Sender<T>, wrap: fn(Chunk) -> T) {
    let mut buffer = BytesMut::with_capacity(BUFFER_BYTES);
    // An error here is the near end being dropped: nothing more will come, which is what ending says too.
    while let Ok(read) = from.read_buf(&mut buffer).await {
        if read == 0 {
            return;
        }
        let data = buffer.split().freeze();
        if to.send(wrap(Chunk { data })).await.is_err() {
            return;
        }
        buffer.reserve(BUFFER_BYTES);
    }
}

async fn receive(mut from: Streaming<Chunk>, mut to: tokio::io::WriteHalf<DuplexStream>) {
    while let Ok(Some(chunk)) = from.message().await {
        if to.write_all(&chunk.data).await.is_err() {
            return;
        }
    }
    // The near end may be gone already; then there is nobody left to tell.
    let _ = to.shutdown().await;
}
