//! Progress streams (pull, load, import) and the error body.

use crate::go::empty;
use serde::{Deserialize, Serialize};

/// One line of a progress stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JsonMessage {
    #[serde(skip_serializing_if = "empty")]
    pub stream: String,
    #[serde(skip_serializing_if = "empty")]
    pub status: String,
    #[serde(rename = "progressDetail", skip_serializing_if = "empty")]
    pub progress_detail: Option<ProgressDetail>,
    /// The bar as text; for clients older than API 1.48.
    #[serde(skip_serializing_if = "empty")]
    pub progress: String,
    #[serde(skip_serializing_if = "empty")]
    pub id: String,
    #[serde(rename = "errorDetail", skip_serializing_if = "empty")]
    pub error_detail: Option<ErrorDetail>,
    /// Copy of `errorDetail.message`; for clients older than API 1.48.
    #[serde(skip_serializing_if = "empty")]
    pub error: String,
    #[serde(skip_serializing_if = "empty")]
    pub aux: Option<serde_json::Value>,
}

impl JsonMessage {
    pub fn status(text: impl Into<String>) -> Self {
        Self {
            status: text.into(),
            ..Self::default()
        }
    }
    pub fn with_id(id: impl Into<String>, status: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            status: status.into(),
            ..Self::default()
        }
    }
    pub fn failure(text: impl Into<String>) -> Self {
        let message = text.into();
        Self {
            error: message.clone(),
            error_detail: Some(ErrorDetail { code: 0, message }),
            ..Self::default()
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    #[serde(skip_serializing_if = "empty")]
    pub current: i64,
    #[serde(skip_serializing_if = "empty")]
    pub total: i64,
    #[serde(skip_serializing_if = "empty")]
    pub start: i64,
    #[serde(skip_serializing_if = "empty")]
    pub hidecounts: bool,
    #[serde(skip_serializing_if = "empty")]
    pub units: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    #[serde(skip_serializing_if = "empty")]
    pub code: i64,
    #[serde(skip_serializing_if = "empty")]
    pub message: String,
}

/// The body of every error reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorResponse {
    pub message: String,
}

/// Answers that carry nothing but an id (`exec create`, `commit`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdResponse {
    #[serde(rename = "Id", alias = "ID")]
    pub id: String,
}
