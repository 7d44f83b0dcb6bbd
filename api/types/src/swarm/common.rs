//! What every cluster object carries.

use crate::go::{Dict, empty};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The number that an update must name (`version=`); grows with every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    #[serde(rename = "Index", skip_serializing_if = "empty")]
    pub index: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Meta {
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Annotations {
    #[serde(skip_serializing_if = "empty")]
    pub name: String,
    pub labels: Dict<String>,
}

/// The certificate authority that a node or the cluster trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TlsInfo {
    /// PEM.
    #[serde(skip_serializing_if = "empty")]
    pub trust_root: String,
    /// base64 of DER.
    #[serde(skip_serializing_if = "empty")]
    pub cert_issuer_subject: String,
    /// base64 of DER.
    #[serde(skip_serializing_if = "empty")]
    pub cert_issuer_public_key: String,
}

/// A user-defined resource, either counted or named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GenericResource {
    #[serde(skip_serializing_if = "empty")]
    pub named_resource_spec: Option<NamedResource>,
    #[serde(skip_serializing_if = "empty")]
    pub discrete_resource_spec: Option<DiscreteResource>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NamedResource {
    #[serde(skip_serializing_if = "empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "empty")]
    pub value: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiscreteResource {
    #[serde(skip_serializing_if = "empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "empty")]
    pub value: i64,
}
