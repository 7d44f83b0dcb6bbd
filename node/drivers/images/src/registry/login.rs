//! `docker login`: whether a registry takes these credentials, and the token that it gives to use instead of them.

use http::{HeaderMap, Request, StatusCode, Uri, header};
use shoal_api_types::auth::AuthConfig;

use super::auth::{Authorizer, challenges};
use super::config::RegistryConfig;
use super::http::{Http, full};
use crate::error::{Error, Result};

/// Asks the registry that `auth` names, the Hub by default. Returns the identity token, or nothing where the registry
/// has none.
pub(crate) async fn login(auth: AuthConfig, config: &RegistryConfig) -> Result<String> {
    let domain = domain(&auth.serveraddress)?;
    let insecure = config.is_insecure(&domain);
    let http = Http::open(config, &domain).await?;
    let authorizer = Authorizer::for_login(auth);
    let schemes: &[&str] = if insecure { &["https", "http"] } else { &["https"] };
    let mut failed = Error::Unreachable(format!("no way to reach {domain}"));
    for scheme in schemes {
        let uri: Uri = format!("{scheme}://{domain}/v2/")
            .parse()
            .map_err(|e| Error::InvalidParameter(format!("unable to parse server address: {e}")))?;
        match check(&http, &authorizer, &uri, config).await {
            Ok(()) => return Ok(authorizer.identity()),
            Err(Failed::ToConnect(error)) => failed = error,
            Err(Failed::ToLogIn(error)) => return Err(error),
        }
    }
    Err(failed)
}

enum Failed {
    /// Another scheme may do.
    ToConnect(Error),
    ToLogIn(Error),
}

async fn check(
    http: &Http,
    authorizer: &Authorizer,
    uri: &Uri,
    config: &RegistryConfig,
) -> std::result::Result<(), Failed> {
    let send = |header: Option<String>| {
        let mut headers = HeaderMap::new();
        if let Some(value) = header.and_then(|text| text.parse().ok()) {
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut request = Request::new(full(bytes::Bytes::new()));
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        http.send(request)
    };
    let mut response = send(None).await.map_err(Failed::ToConnect)?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let asked = challenges(&response);
        let said = |error: Error| match error {
            Error::Unauthorized(text) if !text.starts_with("Get ") => {
                Error::Unauthorized(format!("Get \"{uri}\": {text}"))
            }
            Error::Refused(text) => Error::Unauthorized(text),
            other => other,
        };
        authorizer
            .answer(http, uri, &asked, config.idle_timeout)
            .await
            .map_err(|e| Failed::ToLogIn(said(e)))?;
        response = send(authorizer.header()).await.map_err(Failed::ToLogIn)?;
    }
    let status = response.status();
    let text = format!("login attempt to {uri} failed with status: {status}");
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failed::ToLogIn(Error::Unauthorized(text))),
        _ => Err(Failed::ToLogIn(Error::Unreachable(text))),
    }
}

/// `host[:port]` of an address as clients write it: with a scheme and a path, or without.
fn domain(address: &str) -> Result<String> {
    let host = address
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default();
    if matches!(
        host,
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io"
    ) {
        return Ok("registry-1.docker.io".into());
    }
    let strange = |c: &char| !(c.is_ascii_alphanumeric() || "-._:[]".contains(*c));
    match host.chars().find(strange) {
        Some(c) => Err(Error::InvalidParameter(format!(
            "unable to parse server address: parse \"https://{host}\": invalid character {:?} in host name",
            c.to_string()
        ))),
        None => Ok(host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::domain;

    #[test]
    fn addresses_in_every_form() {
        for (address, host) in [
            ("", "registry-1.docker.io"),
            ("https://index.docker.io/v1/", "registry-1.docker.io"),
            ("http://reg.lan:5000/v1/", "reg.lan:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(domain(address).expect("a host"), host);
        }
        assert_eq!(
            domain("bad host").expect_err("no host").to_string(),
            "unable to parse server address: parse \"https://bad host\": invalid character \" \" in host name"
        );
    }
}
