//! The HTTP client: certificates checked, or not for registries that were named insecure; directly or through a proxy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certs::{self, Certificates};
use super::config::RegistryConfig;
use super::proxy::{Connector, Proxies};
use super::trouble;
use super::ways::KEPT;
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections to one host that wait for more to do.
const IDLE_MAX: usize = 8;

/// What a request carries.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is there already.
pub(super) fn full(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

type Through = Client<HttpsConnector<Connector>, Outgoing>;

/// Connections to one registry, and to where it sends us.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Through,
    /// For others than the registry itself, if it is shown who we are: redirects and token servers are not.
    elsewhere: Option<Through>,
    /// `host[:port]`.
    home: String,
    proxies: Arc<Proxies>,
    answer_timeout: Duration,
}

impl Http {
    /// Towards a registry (`host[:port]`), as the operator has it.
    pub async fn open(config: &RegistryConfig, domain: &str) -> Result<Http> {
        let (config, domain) = (config.clone(), domain.to_owned());
        // Reading the system's certificates takes a while.
        let made = tokio::task::spawn_blocking(move || Http::new(&config, &domain)).await;
        made.map_err(|e| Error::Unreachable(e.to_string()))?
    }

    /// Reads the system's certificates unless they are not to be checked: blocks.
    fn new(config: &RegistryConfig, domain: &str) -> Result<Http> {
        let Certificates { roots, identity } = certs::read(&config.certificates, domain)?;
        let checked = !config.is_insecure(domain);
        let tls = |identity| {
            let provider = Arc::new(ring::default_provider());
            let builder =
                ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
            let builder = builder.map_err(|e| no_tls(&e))?;
            let builder = if checked {
                builder.with_root_certificates(trusted(&roots)?)
            } else {
                let any = Arc::new(AnyCertificate(provider));
                builder.dangerous().with_custom_certificate_verifier(any)
            };
            match identity {
                Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| no_tls(&e)),
                None => Ok(builder.with_no_client_auth()),
            }
        };
        let known = identity.is_some();
        let proxies = Arc::new(config.proxies.clone());
        let client = |tls: ClientConfig| {
            let mut tcp = HttpConnector::new();
            tcp.enforce_http(false);
            tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
            tcp.set_nodelay(true);
            let connector = Connector {
                tcp,
                proxies: proxies.clone(),
            };
            let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
            let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new());
            builder.pool_idle_timeout(KEPT);
            builder.pool_max_idle_per_host(IDLE_MAX);
            builder.build(connector)
        };
        Ok(Http {
            client: client(tls(identity)?),
            elsewhere: if known { Some(client(tls(None)?)) } else { None },
            home: host_of(domain).to_owned(),
            answer_timeout: config.idle_timeout,
            proxies: proxies.clone(),
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
        let mut request = request;
        let authorization = self
            .proxies
            .authorization(&uri)
            .and_then(|value| value.parse().ok());
        if let Some(value) = authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
        }
        let home = uri
            .authority()
            .is_some_and(|authority| authority.as_str() == self.home);
        let client = match &self.elsewhere {
            Some(elsewhere) if !home => elsewhere,
            _ => &self.client,
        };
        let answer = client.request(request).await;
        answer.map_err(|error| trouble::unreachable(&method, &uri, &error))
    }
}

/// Where the registry of a domain is.
pub(super) fn host_of(domain: &str) -> &str {
    match domain {
        "docker.io" => "registry-1.docker.io",
        other => other,
    }
}

fn no_tls(why: &dyn std::fmt::Display) -> Error {
    Error::Unreachable(format!("cannot set up TLS: {why}"))
}

/// The system's authorities and the operator's. Where there are none, none is trusted.
fn trusted(own: &[CertificateDer<'static>]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!("certificates of authorities cannot be read: {error}");
    }
    store.add_parsable_certificates(system.certs);
    for root in own {
        store.add(root.clone()).map_err(|e| no_tls(&e))?;
    }
    Ok(store)
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
