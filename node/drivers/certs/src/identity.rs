//! What a certificate says of its holder.

use crate::Error;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use shoal_raft_objects::{ClusterId, NodeId, Role};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The subject of a node certificate, with what renewal and revocation need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub node: NodeId,
    pub cluster: ClusterId,
    pub role: Role,
    /// Hex, without separators.
    pub serial: String,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

/// The organisational unit, and server name, that stands for a role.
pub fn ou(role: Role) -> &'static str {
    match role {
        Role::Manager => "swarm-manager",
        Role::Worker => "swarm-worker",
    }
}

impl Identity {
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| Error::parse("node certificate", e))?;
        Self::from_der(&der)
    }

    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let bad = |why: &str| Error::parse("node certificate", why);
        let (_, cert) = X509Certificate::from_der(der).map_err(|e| Error::parse("node certificate", e))?;
        let subject = cert.subject();
        let one = |mut found: Box<dyn Iterator<Item = Option<String>> + '_>, name: &str| match (
            found.next(),
            found.next(),
        ) {
            (Some(Some(value)), None) if !value.is_empty() => Ok(value),
            _ => Err(bad(&format!("subject must have exactly one {name}"))),
        };
        let node = one(
            Box::new(
                subject
                    .iter_common_name()
                    .map(|a| a.as_str().ok().map(str::to_owned)),
            ),
            "CN",
        )?;
        let cluster = one(
            Box::new(
                subject
                    .iter_organization()
                    .map(|a| a.as_str().ok().map(str::to_owned)),
            ),
            "O",
        )?;
        let unit = one(
            Box::new(
                subject
                    .iter_organizational_unit()
                    .map(|a| a.as_str().ok().map(str::to_owned)),
            ),
            "OU",
        )?;
        let role = match unit.as_str() {
            "swarm-manager" => Role::Manager,
            "swarm-worker" => Role::Worker,
            other => return Err(bad(&format!("role {other} is unknown"))),
        };
        let validity = cert.validity();
        Ok(Self {
            node: node.into(),
            cluster: cluster.into(),
            role,
            serial: hex::encode(cert.raw_serial()),
            not_before: at(validity.not_before.timestamp()),
            not_after: at(validity.not_after.timestamp()),
        })
    }

    /// When to ask for the next certificate: somewhere in 50 to 80 % of the validity, by a `chance` in 0..1, so that
    /// nodes that joined together do not all come at once.
    pub fn renew_at(&self, chance: f64) -> SystemTime {
        let validity = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + validity.mul_f64(0.5 + 0.3 * chance.clamp(0.0, 1.0))
    }
}

fn at(timestamp: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp).unwrap_or(0))
}
