//! A node's side of getting a certificate: a fresh key and a request for it.

use crate::Error;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

/// A key that never leaves the node, and the request that asks for a certificate of it. The request's subject is
/// empty: the CA alone decides what the certificate says.
pub struct Request {
    pub csr_pem: String,
    pub key_pem: String,
}

impl Request {
    pub fn new() -> Result<Self, Error> {
        let make = |what| move |source| Error::Make { what, source };
        let key = KeyPair::generate().map_err(make("a node's key"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params
            .serialize_request(&key)
            .map_err(make("a certificate request"))?;
        Ok(Self {
            csr_pem: csr.pem().map_err(make("a certificate request"))?,
            key_pem: key.serialize_pem(),
        })
    }
}
