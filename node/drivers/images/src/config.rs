//! An image's configuration file: what its digest, the image ID, is taken of.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shoal_api_types::image::ImageConfig;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;

/// The parts of the configuration that the engine uses, OCI's and Docker's (Healthcheck, Shell, OnBuild).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigFile {
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// The container that Docker's older `commit` and builder took the image of, and how it was configured: shown, and not
    /// handed on to images made of this one.
    #[serde(skip_serializing)]
    pub container: String,
    #[serde(skip_serializing)]
    pub container_config: Value,
    pub config: ImageConfig,
    pub rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digests of the uncompressed layers, bottom first.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs {
            kind: "layers".into(),
            diff_ids: Vec::new(),
        }
    }
}

/// One build step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ConfigFile {
    /// Reads the file. A `null` means the same as nothing, as in Go.
    pub fn parse(bytes: &[u8]) -> Result<ConfigFile> {
        let invalid = |why: String| Error::Corrupt(format!("invalid image configuration: {why}"));
        let mut value: Value = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
        drop_nulls(&mut value);
        let config: ConfigFile = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
        if !config.rootfs.kind.is_empty() && config.rootfs.kind != "layers" {
            return Err(invalid(format!("unknown rootfs type {:?}", config.rootfs.kind)));
        }
        Ok(config)
    }

    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }

    /// What the image's author says of it; else what its last step says.
    pub fn comment(&self) -> &str {
        match self.comment.is_empty() {
            true => self.history.last().map_or("", |step| &step.comment),
            false => &self.comment,
        }
    }

    /// Unix seconds of `created`; 0 if it has none.
    pub fn created_unix(&self) -> i64 {
        unix(self.created.as_deref())
    }

    /// The same in nanoseconds.
    pub fn created_nanos(&self) -> i128 {
        let time = self.created.as_deref().and_then(time_of);
        time.map_or(0, |time| time.unix_timestamp_nanos())
    }
}

/// Unix seconds of an RFC 3339 time; 0 for none.
pub(crate) fn unix(text: Option<&str>) -> i64 {
    text.and_then(time_of).map_or(0, |time| time.unix_timestamp())
}

fn time_of(text: &str) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

/// Unix nanoseconds of an RFC 3339 time; 0 for none.
pub(crate) fn unix_nanos(text: &str) -> i64 {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    time.and_then(|time| i64::try_from(time.unix_timestamp_nanos()).ok())
        .unwrap_or(0)
}

/// Now, as Docker writes times.
pub(crate) fn now() -> String {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// A time in Unix nanoseconds, written the same way.
pub(crate) fn at(unix_nanos: i64) -> String {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_nanos));
    time.ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
