//! `docker search`: the one call that is left of the registry's first protocol.

use http::{HeaderMap, Request, StatusCode, Uri, header};
use serde::Deserialize;
use shoal_api_types::auth::AuthConfig;

use super::auth::basic_of;
use super::body;
use super::config::RegistryConfig;
use super::http::{Http, full};
use crate::error::{Error, Result};

const ANSWER_MAX: u64 = 4 << 20;
const HUB: &str = "index.docker.io";

/// One image that a registry found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hit {
    pub name: String,
    pub description: String,
    pub star_count: i64,
    pub is_official: bool,
    pub is_automated: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    results: Vec<Hit>,
}

pub(crate) async fn search(
    term: &str,
    limit: usize,
    auth: Option<AuthConfig>,
    config: &RegistryConfig,
) -> Result<Vec<Hit>> {
    if term.contains("://") {
        return Err(Error::InvalidParameter(format!(
            "invalid repository name: repository name ({term}) should not have a scheme"
        )));
    }
    let (domain, rest) = match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => (HUB, term),
    };
    let domain = if domain == "docker.io" { HUB } else { domain };
    let rest = match domain {
        HUB => rest.strip_prefix("library/").unwrap_or(rest),
        _ => rest,
    };
    let insecure = config.is_insecure(domain);
    let http = Http::open(config, domain).await?;
    let mut headers = HeaderMap::new();
    if let Some(value) = auth.and_then(|auth| basic_of(auth, domain)?.parse().ok()) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
    let mut failed = Error::Unreachable(format!("no way to reach {domain}"));
    for scheme in schemes {
        let uri: Uri = format!("{scheme}://{domain}/v1/search?q={}&n={limit}", escape(rest))
            .parse()
            .map_err(|_| Error::InvalidParameter(format!("invalid search term {term:?}")))?;
        let mut request = Request::new(full(bytes::Bytes::new()));
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        let response = match http.send(request).await {
            Ok(response) => response,
            Err(error) => {
                failed = error;
                continue;
            }
        };
        if response.status() != StatusCode::OK {
            return Err(Error::Unreachable(format!(
                "Unexpected status code {}",
                response.status().as_u16()
            )));
        }
        let text = body::small(response.into_body(), ANSWER_MAX, config.idle_timeout).await?;
        let answer: Answer = serde_json::from_slice(&text)
            .map_err(|e| Error::Unreachable(format!("error decoding registry search results: {e}")))?;
        return Ok(answer.results);
    }
    Err(failed)
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    let one = |b: u8| match plain(b) {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}
