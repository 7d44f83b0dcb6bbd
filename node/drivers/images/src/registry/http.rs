//! The HTTP client: certificates checked, or not for registries that were named insecure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use super::trouble;
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// What a request carries.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is there already.
pub(super) fn full(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Connections of one session.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Outgoing>,
    answer_timeout: Duration,
}

impl Http {
    /// Reads the system's certificates unless they are not to be checked: blocks.
    pub fn new(checked: bool, answer_timeout: Duration) -> Result<Http> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let builder = HttpsConnectorBuilder::new();
        let failed = |e: &dyn std::fmt::Display| Error::Unreachable(format!("cannot set up TLS: {e}"));
        let builder = if checked {
            let with_roots = builder.with_provider_and_native_roots(ring::default_provider());
            with_roots.map_err(|e| failed(&e))?
        } else {
            let provider = Arc::new(ring::default_provider());
            let config =
                ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
            let config = config.map_err(|e| failed(&e))?.dangerous();
            let config = config.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
            builder.with_tls_config(config.with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Http {
            client: Client::builder(TokioExecutor::new()).build(connector),
            answer_timeout,
        })
    }

    /// One request, up to the answer's head.
    pub async fn send(&self, request: Request<Outgoing>) -> Result<Response<Incoming>> {
        let uri = request.uri().clone();
        match tokio::time::timeout(self.answer_timeout, self.upload(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(trouble::timed_out(&uri)),
        }
    }

    /// The same for a body that takes as long as it takes: who feeds it watches over it.
    pub async fn upload(&self, request: Request<Outgoing>) -> Result<Response<Incoming>> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let answer = self.client.request(request).await;
        answer.map_err(|error| trouble::unreachable(&method, &uri, &error))
    }
}

/// For registries that the operator called insecure: any certificate will do, but signatures must be right.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
