//! One connection to an engine.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::tls;
use rustls::pki_types::ServerName;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) async fn connect(endpoint: &Endpoint) -> Result<Box<dyn Duplex>> {
    let failed = |reason| Error::Connect {
        endpoint: endpoint.display(),
        reason,
    };
    let late = || failed(std::io::ErrorKind::TimedOut.into());
    match endpoint {
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        Endpoint::Tcp { address, tls: files } => {
            let socket = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
                .await
                .map_err(|_| late())?
                .map_err(failed)?;
            let _ = socket.set_nodelay(true);
            let Some(files) = files else {
                return Ok(Box::new(socket));
            };
            let refused = |reason: String| Error::Tls {
                endpoint: endpoint.display(),
                reason,
            };
            let config = tls::client_config(files)?;
            let host = address
                .rsplit_once(':')
                .map_or(address.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host).map_err(|error| refused(error.to_string()))?;
            let handshake = tokio_rustls::TlsConnector::from(config).connect(name, socket);
            let socket = tokio::time::timeout(CONNECT_TIMEOUT, handshake)
                .await
                .map_err(|_| late())?
                .map_err(|error| refused(error.to_string()))?;
            Ok(Box::new(socket))
        }
        Endpoint::Ssh {
            user,
            host,
            port,
            socket,
        } => {
            let mut command = Command::new("ssh");
            command.args(["-o", "ConnectTimeout=30", "-T"]);
            if let Some(user) = user {
                command.args(["-l", user]);
            }
            if let Some(port) = port {
                command.args(["-p", &port.to_string()]);
            }
            command.args(["--", host, "docker"]);
            if let Some(path) = socket {
                command.args(["--host", &format!("unix://{path}")]);
            }
            command.args(["system", "dial-stdio"]);
            Ok(Box::new(Piped::spawn(command).map_err(failed)?))
        }
    }
}

/// A process whose input and output are the connection; ends with it.
struct Piped {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    _child: Child,
}

impl Piped {
    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || std::io::Error::other("the process has no pipes");
        let stdout = child.stdout.take().ok_or_else(gone)?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout,
            _child: child,
        })
    }
}

impl AsyncRead for Piped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, buf),
            None => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }
    /// Closing the pipe is what the far side sees as the end.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}
