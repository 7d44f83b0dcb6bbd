//! Opening a byte stream to a target.

use crate::error::{Error, Result};
use crate::target::{Target, TlsFiles};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Both directions of a byte stream.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Duplex for T {}

/// A target made ready: certificates are read once.
#[derive(Clone)]
pub(crate) struct Connector {
    target: Target,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub(crate) fn new(target: Target) -> Result<Connector> {
        let tls = match &target {
            Target::Tcp { tls: Some(files), .. } => Some(Arc::new(tls_config(files)?)),
            _ => None,
        };
        Ok(Connector { target, tls })
    }

    pub(crate) async fn open(&self) -> Result<Box<dyn Duplex>> {
        let failed = |source| Error::Connect {
            target: self.target.to_string(),
            source,
        };
        match &self.target {
            Target::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
            Target::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                let Some(config) = &self.tls else {
                    return Ok(Box::new(stream));
                };
                let name = ServerName::try_from(host.clone()).map_err(|e| {
                    Error::Target(format!("{host} is not a name a certificate can have: {e}"))
                })?;
                let connector = tokio_rustls::TlsConnector::from(config.clone());
                Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
            }
            Target::Ssh { destination, port } => Ok(Box::new(Ssh::open(destination, *port).map_err(failed)?)),
        }
    }
}

fn tls_config(files: &TlsFiles) -> Result<ClientConfig> {
    let bad =
        |path: &Path, e: &dyn std::fmt::Display| Error::Target(format!("reading {}: {e}", path.display()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Target(format!("setting up TLS: {e}")))?;
    let builder = if files.verify {
        let mut roots = RootCertStore::empty();
        let path = files
            .ca
            .as_deref()
            .ok_or_else(|| Error::Target("TLS verification needs a CA certificate".into()))?;
        for cert in CertificateDer::pem_file_iter(path).map_err(|e| bad(path, &e))? {
            roots
                .add(cert.map_err(|e| bad(path, &e))?)
                .map_err(|e| bad(path, &e))?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    };
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(cert)
                .map_err(|e| bad(cert, &e))?
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|e| bad(cert, &e))?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(key, &e))?;
            builder
                .with_client_auth_cert(chain, key_der)
                .map_err(|e| bad(cert, &e))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

/// `--tls` without `--tlsverify`: encrypted, to whoever answers.
#[derive(Debug)]
struct Anyone(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `ssh HOST docker system dial-stdio`, as the docker CLI does it: the far daemon's socket on our pipe.
struct Ssh {
    // Kept so that ssh ends with the connection.
    _child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

impl Ssh {
    fn open(destination: &str, port: Option<u16>) -> io::Result<Ssh> {
        let mut command = Command::new("ssh");
        command.args(["-o", "ConnectTimeout=30", "-T"]);
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", destination, "docker", "system", "dial-stdio"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("ssh has no pipes"));
        };
        Ok(Ssh {
            _child: child,
            stdin: Some(stdin),
            stdout,
        })
    }
}

impl AsyncRead for Ssh {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Ssh {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing the pipe is the half-close that the far end sees.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}
