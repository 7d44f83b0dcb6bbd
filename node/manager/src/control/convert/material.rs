//! `/secrets` and `/configs`.

use super::{annotations, annotations_from, meta};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shoal_api_backend::{Error, Result};
use shoal_api_types::swarm as api;
use shoal_raft_objects::{Config, ConfigSpec, Secret, SecretSpec};

const SECRET_BYTES_MAX: usize = 500 * 1024;
const CONFIG_BYTES_MAX: usize = 1000 * 1024;

/// Without its data, which the API never shows.
pub fn secret(secret: &Secret) -> api::Secret {
    api::Secret {
        id: secret.id.to_string(),
        meta: meta(&secret.meta),
        spec: api::SecretSpec {
            annotations: annotations(&secret.spec.annotations),
            ..Default::default()
        },
    }
}

pub fn secret_from(given: &api::SecretSpec) -> Result<SecretSpec> {
    if given.driver.is_some() {
        return Err(Error::not_implemented("a secret driver"));
    }
    Ok(SecretSpec {
        annotations: annotations_from(&given.annotations),
        data: data(&given.data, "secret", SECRET_BYTES_MAX)?,
    })
}

pub fn config(config: &Config) -> api::Config {
    api::Config {
        id: config.id.to_string(),
        meta: meta(&config.meta),
        spec: api::ConfigSpec {
            annotations: annotations(&config.spec.annotations),
            data: STANDARD.encode(&config.spec.data),
            ..Default::default()
        },
    }
}

pub fn config_from(given: &api::ConfigSpec) -> Result<ConfigSpec> {
    Ok(ConfigSpec {
        annotations: annotations_from(&given.annotations),
        data: data(&given.data, "config", CONFIG_BYTES_MAX)?,
    })
}

fn data(text: &str, what: &str, max: usize) -> Result<Vec<u8>> {
    let bytes = STANDARD
        .decode(text)
        .map_err(|e| Error::invalid(format!("{what} data is not base64: {e}")))?;
    if bytes.is_empty() || bytes.len() > max {
        return Err(super::service::invalid_argument(&format!(
            "{what} data must be larger than 0 and less than or equal to {max} bytes"
        )));
    }
    Ok(bytes)
}
