//! A gRPC channel over streams that the caller makes.

use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint, Uri};

/// A whole message, on either side. Sets and snapshots are cut into chunks well below it.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a connection may take to come up, name, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of one frame: a piece of a blob.
const FRAME: u32 = 256 << 10;

/// A channel to `addr` (`host:port`) that connects at its first call, and again after a connection broke. `connect`
/// makes the stream: TCP and TLS in production, whatever a test likes otherwise. A peer that died without a word is
/// noticed within three seconds.
pub fn lazy<F, Fut, S>(addr: &str, connect: F) -> Result<Channel, tonic::transport::Error>
where
    F: Fn(String) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let endpoint = Endpoint::from_shared(format!("http://{addr}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(Duration::from_secs(1))
        .keep_alive_timeout(Duration::from_secs(2))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_frame_size(FRAME);
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let connect = connect.clone();
            async move {
                let authority = uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
                connect(authority).await.map(TokioIo::new)
            }
        })),
    )
}
