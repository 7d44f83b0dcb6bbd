//! `/secrets` and `/configs`.

use super::common::{Annotations, Meta};
use crate::go::empty;
use crate::mount::Driver;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: SecretSpec,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretSpec {
    #[serde(flatten)]
    pub annotations: Annotations,
    /// base64; only in requests.
    #[serde(skip_serializing_if = "empty")]
    pub data: String,
    #[serde(skip_serializing_if = "empty")]
    pub driver: Option<Driver>,
    #[serde(skip_serializing_if = "empty")]
    pub templating: Option<Driver>,
}

impl std::fmt::Debug for SecretSpec {
    /// Never prints the data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSpec")
            .field("annotations", &self.annotations)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(flatten)]
    pub meta: Meta,
    pub spec: ConfigSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigSpec {
    #[serde(flatten)]
    pub annotations: Annotations,
    /// base64.
    #[serde(skip_serializing_if = "empty")]
    pub data: String,
    #[serde(skip_serializing_if = "empty")]
    pub templating: Option<Driver>,
}
