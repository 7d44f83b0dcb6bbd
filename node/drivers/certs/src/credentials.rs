//! A node's identity in use: TLS configurations that follow it when it is renewed.

use crate::verify::Verifier;
use crate::{Error, Files, Identity, Issued};
use arc_swap::ArcSwap;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// What is in force now. Replaced as a whole.
pub(crate) struct Current {
    identity: Identity,
    root_pem: String,
    /// Absent for a joiner that knows the root but has no certificate yet.
    key: Option<Arc<CertifiedKey>>,
    pub(crate) servers: Arc<dyn ServerCertVerifier>,
    pub(crate) clients: Arc<dyn ClientCertVerifier>,
}

/// A cheap handle; all clones see a renewal at once. Open connections keep the identity they began with.
#[derive(Clone)]
pub struct Credentials {
    current: Arc<ArcSwap<Current>>,
    renewed: watch::Sender<u64>,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.identity()).finish()
    }
}

impl Credentials {
    pub fn new(issued: &Issued) -> Result<Self, Error> {
        Self::with(current(issued)?)
    }

    /// Those kept in `files`, if there are any.
    pub fn load(files: &Files) -> Result<Option<Self>, Error> {
        files.load()?.map(|issued| Self::new(&issued)).transpose()
    }

    /// For a joiner: verifies managers against `root_pem`, has nothing to show for itself.
    pub fn joiner(root_pem: &str) -> Result<Self, Error> {
        let (servers, clients) = verifiers(root_pem)?;
        let nobody = Identity {
            node: Default::default(),
            cluster: Default::default(),
            role: Default::default(),
            serial: String::new(),
            not_before: std::time::UNIX_EPOCH,
            not_after: std::time::UNIX_EPOCH,
        };
        Self::with(Current {
            identity: nobody,
            root_pem: root_pem.to_owned(),
            key: None,
            servers,
            clients,
        })
    }

    fn with(current: Current) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(current));
        let provider = provider();
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        let verifier = Arc::new(Verifier::new(current.clone(), schemes));
        let resolver = Arc::new(Resolver(current.clone()));

        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(resolver.clone());
        // A resumed session would carry the old certificate's identity past a promotion or demotion.
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![b"h2".to_vec()];

        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![b"h2".to_vec()];

        Ok(Self {
            current,
            renewed: watch::Sender::new(0),
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }

    /// Puts a renewed certificate (or another root) in force for all connections made from now on.
    pub fn replace(&self, issued: &Issued) -> Result<(), Error> {
        self.current.store(Arc::new(current(issued)?));
        self.renewed.send_modify(|n| *n += 1);
        Ok(())
    }

    pub fn identity(&self) -> Identity {
        self.current.load().identity.clone()
    }

    pub fn root_pem(&self) -> String {
        self.current.load().root_pem.clone()
    }

    /// Changes whenever [`Credentials::replace`] was called; connections should then be made anew.
    pub fn renewed(&self) -> watch::Receiver<u64> {
        self.renewed.subscribe()
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn current(issued: &Issued) -> Result<Current, Error> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|e| Error::parse("node certificate", e))?;
    let leaf = chain
        .first()
        .ok_or_else(|| Error::parse("node certificate", "empty"))?;
    let identity = Identity::from_der(leaf)?;
    let key =
        PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).map_err(|e| Error::parse("node key", e))?;
    let key = CertifiedKey::from_der(chain, key, &provider())?;
    let (servers, clients) = verifiers(&issued.root_pem)?;
    Ok(Current {
        identity,
        root_pem: issued.root_pem.clone(),
        key: Some(Arc::new(key)),
        servers,
        clients,
    })
}

fn verifiers(root_pem: &str) -> Result<(Arc<dyn ServerCertVerifier>, Arc<dyn ClientCertVerifier>), Error> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(root.map_err(|e| Error::parse("root certificate", e))?)?;
    }
    let roots = Arc::new(roots);
    let bad = |e: rustls::server::VerifierBuilderError| Error::parse("root certificate", e);
    let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(bad)?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(bad)?;
    Ok((servers, clients))
}

struct Resolver(Arc<ArcSwap<Current>>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().key.clone()
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.load().key.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.load().key.is_some()
    }
}
