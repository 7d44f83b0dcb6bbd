//! The portable half of a container's configuration, and `POST /containers/create`.

use super::host_config::HostConfig;
use crate::go::{Dict, Empty, Slice, empty, str_slice};
use crate::network::EndpointSettings;
use serde::{Deserialize, Serialize};

/// Configuration that does not depend on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    /// `user`, `user:group`, `uid`, `uid:gid`.
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// Keys are `80/tcp`.
    #[serde(skip_serializing_if = "empty")]
    pub exposed_ports: Dict<Empty>,
    pub tty: bool,
    pub open_stdin: bool,
    /// Close stdin when the first attached client leaves.
    pub stdin_once: bool,
    /// `NAME=value`; `NAME` alone removes it.
    pub env: Slice<String>,
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub cmd: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub healthcheck: Option<HealthConfig>,
    #[serde(skip_serializing_if = "empty")]
    pub args_escaped: bool,
    pub image: String,
    /// Keys are paths in the container.
    pub volumes: Dict<Empty>,
    pub working_dir: String,
    /// Nil takes the image's; `[]` and `[""]` mean none.
    #[serde(deserialize_with = "str_slice::deserialize")]
    pub entrypoint: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub network_disabled: bool,
    /// Deprecated since API 1.44 in favour of the endpoint's.
    #[serde(skip_serializing_if = "empty")]
    pub mac_address: String,
    /// Written as null by engines before API 1.52, left out since: `api/http` sets which.
    #[serde(default = "nil_on_build", skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Slice<String>>,
    pub labels: Dict<String>,
    #[serde(skip_serializing_if = "empty")]
    pub stop_signal: String,
    /// Seconds; -1 waits for ever.
    #[serde(skip_serializing_if = "empty")]
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "str_slice::deserialize", skip_serializing_if = "empty")]
    pub shell: Slice<String>,
}

fn nil_on_build() -> Option<Slice<String>> {
    Some(Slice::nil())
}

/// A health check; durations in nanoseconds, 0 inherits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `[]` inherit, `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", command]`.
    #[serde(skip_serializing_if = "empty")]
    pub test: Slice<String>,
    #[serde(skip_serializing_if = "empty")]
    pub interval: i64,
    #[serde(skip_serializing_if = "empty")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "empty")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "empty")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "empty")]
    pub retries: i64,
}

/// Body of `POST /containers/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: Config,
    pub host_config: HostConfig,
    pub networking_config: NetworkingConfig,
}

/// Networks to be connected to from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkingConfig {
    /// By network name; null is an endpoint with defaults.
    pub endpoints_config: Dict<Option<EndpointSettings>>,
}

/// Answer to `POST /containers/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateResponse {
    pub id: String,
    /// Never null.
    pub warnings: Vec<String>,
}
