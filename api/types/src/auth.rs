//! Registry credentials: `POST /auth` and the `X-Registry-Auth` header.

use crate::go::empty;
use serde::{Deserialize, Serialize};

/// Credentials for one registry, kept by the client and sent along.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct AuthConfig {
    #[serde(skip_serializing_if = "empty")]
    pub username: String,
    #[serde(skip_serializing_if = "empty")]
    pub password: String,
    /// base64 of `username:password`, as in the client's configuration file.
    #[serde(skip_serializing_if = "empty")]
    pub auth: String,
    #[serde(skip_serializing_if = "empty")]
    pub email: String,
    #[serde(skip_serializing_if = "empty")]
    pub serveraddress: String,
    /// Stands in for the password towards a token server.
    #[serde(skip_serializing_if = "empty")]
    pub identitytoken: String,
    #[serde(skip_serializing_if = "empty")]
    pub registrytoken: String,
}

impl std::fmt::Debug for AuthConfig {
    /// Never prints a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

/// Answer to `POST /auth`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuthResponse {
    pub identity_token: String,
    pub status: String,
}
