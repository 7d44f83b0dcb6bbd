//! The cluster's certificate authority.

use crate::{Error, identity};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use shoal_raft_objects::{ClusterId, NodeId, Role};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

pub const ROOT_VALIDITY: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Certificates begin this much in the past, for nodes whose clocks are behind.
pub const BACKDATE: Duration = Duration::from_secs(3600);
/// Shorter node certificates are refused as a setting.
pub const LEAF_VALIDITY_MIN: Duration = Duration::from_secs(3600);

/// A root that can sign. Its key is part of the replicated state, so every manager can load it.
pub struct Root {
    cert_pem: String,
    key_pem: String,
}

/// What `docker info` and nodes show of a root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootInfo {
    /// DER of the subject.
    pub subject: Vec<u8>,
    /// DER of the public key's info.
    pub public_key: Vec<u8>,
}

impl Root {
    /// A new root for a new cluster, valid for 20 years from `now`.
    pub fn create(now: SystemTime) -> Result<Self, Error> {
        let make = |source| Error::Make {
            what: "the cluster's root certificate",
            source,
        };
        let key = KeyPair::generate().map_err(make)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "swarm-ca");
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::from(now - BACKDATE);
        params.not_after = OffsetDateTime::from(now + ROOT_VALIDITY);
        params.serial_number = Some(serial());
        params.distinguished_name = name;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let cert = params.self_signed(&key).map_err(make)?;
        Ok(Self {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The root as kept in the cluster's state.
    pub fn load(cert_pem: &str, key_pem: &str) -> Self {
        Self {
            cert_pem: cert_pem.to_owned(),
            key_pem: key_pem.to_owned(),
        }
    }

    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Signs `csr_pem` for `node` in `role`, valid from an hour before `now` until `validity` after it. Only the
    /// public key is taken from the request.
    pub fn sign(
        &self,
        csr_pem: &str,
        node: &NodeId,
        cluster: &ClusterId,
        role: Role,
        now: SystemTime,
        validity: Duration,
    ) -> Result<String, Error> {
        let make = |source| Error::Make {
            what: "a node certificate",
            source,
        };
        let key = KeyPair::from_pem(&self.key_pem).map_err(make)?;
        let issuer = Issuer::from_ca_cert_pem(&self.cert_pem, key).map_err(make)?;
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).map_err(Error::Request)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, cluster.as_str());
        name.push(DnType::OrganizationalUnitName, identity::ou(role));
        name.push(DnType::CommonName, node.as_str());
        let mut alternatives = Vec::with_capacity(2);
        for alternative in [identity::ou(role), node.as_str()] {
            alternatives.push(SanType::DnsName(alternative.try_into().map_err(make)?));
        }
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::from(now - BACKDATE);
        params.not_after = OffsetDateTime::from(now + validity);
        params.serial_number = Some(serial());
        params.subject_alt_names = alternatives;
        params.distinguished_name = name;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        Ok(request.signed_by(&issuer).map_err(make)?.pem())
    }

    /// SHA-256 of the root's DER: what a join token carries.
    pub fn digest(cert_pem: &str) -> Result<[u8; 32], Error> {
        Ok(Sha256::digest(der(cert_pem)?.as_ref()).into())
    }

    /// The digest as the cluster object keeps it.
    pub fn digest_text(cert_pem: &str) -> Result<String, Error> {
        Ok(format!("sha256:{}", hex::encode(Self::digest(cert_pem)?)))
    }

    pub fn info(cert_pem: &str) -> Result<RootInfo, Error> {
        let der = der(cert_pem)?;
        let (_, cert) = X509Certificate::from_der(&der).map_err(|e| Error::parse("root certificate", e))?;
        Ok(RootInfo {
            subject: cert.subject().as_raw().to_vec(),
            public_key: cert.public_key().raw.to_vec(),
        })
    }
}

fn der(cert_pem: &str) -> Result<CertificateDer<'static>, Error> {
    CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|e| Error::parse("root certificate", e))
}

/// 127 random bits: positive in DER, and never the same twice.
fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::random();
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    SerialNumber::from_slice(&bytes)
}
