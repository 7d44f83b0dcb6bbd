//! TLS of the API: the server's certificate, and with `ca` the client's.

use super::BindError;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// PEM files, as `--tlscert`, `--tlskey` and `--tlscacert` name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// With it (`--tlsverify`) clients need a certificate that it signed.
    pub ca: Option<PathBuf>,
}

pub(super) fn server_config(files: &TlsFiles) -> Result<Arc<rustls::ServerConfig>, BindError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = certificates("certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| BindError::TlsFile {
        what: "key",
        path: files.key.clone(),
        reason: error.to_string(),
    })?;
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| BindError::Tls(error.to_string()))?;
    let builder = match &files.ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider)
                .build()
                .map_err(|error| BindError::Tls(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| BindError::Tls(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, BindError> {
    let failed = |reason: String| BindError::TlsFile {
        what,
        path: path.to_owned(),
        reason,
    };
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| failed(error.to_string()))?;
    if list.is_empty() {
        return Err(failed("there is no certificate in it".into()));
    }
    Ok(list)
}

fn roots(path: &Path) -> Result<RootCertStore, BindError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("CA certificate", path)? {
        store.add(certificate).map_err(|error| BindError::TlsFile {
            what: "CA certificate",
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(store)
}
