//! One HTTP request on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::address::Address;
use crate::tls;

/// What an answer may be long.
const ANSWER_MAX: usize = 32 << 20;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) async fn open(address: &Address) -> Result<Box<dyn Duplex>, String> {
    match tokio::time::timeout(CONNECT_LIMIT, open_now(address)).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("no connection within {CONNECT_LIMIT:?}")),
    }
}

async fn open_now(address: &Address) -> Result<Box<dyn Duplex>, String> {
    let text = |e: std::io::Error| e.to_string();
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(text)?)),
        Address::Tcp(host) => Ok(Box::new(TcpStream::connect(host).await.map_err(text)?)),
        Address::Tls(host, described) => {
            let described = described.clone();
            let config = tokio::task::spawn_blocking(move || tls::config(&described)).await;
            let config = config.map_err(|e| e.to_string())??;
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(name).map_err(|e| e.to_string())?;
            let stream = TcpStream::connect(host).await.map_err(text)?;
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            Ok(Box::new(connector.connect(name, stream).await.map_err(text)?))
        }
    }
}

/// Sends it and reads the whole answer; the connection is closed with it.
pub(crate) async fn exchange(
    stream: Box<dyn Duplex>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    // Ends with the sender.
    let pump = tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?
            .into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|e| format!("read its answer: {e}"))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
    .await;
    pump.abort();
    answer
}
