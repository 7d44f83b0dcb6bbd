//! Who we are towards a registry. Credentials are bound: to the registry that they were given for, and to the
//! token server that this registry itself names over the same or a safer transport. A redirect never gets them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::Deserialize;
use shoal_api_types::auth::AuthConfig;

use super::body;
use super::http::{Http, full};
use crate::error::{Error, Result};

/// A token server's answer.
const TOKEN_MAX: u64 = 1 << 20;

#[derive(Debug, Default)]
enum Credentials {
    #[default]
    None,
    Password(String, String),
    /// Exchanged for a token, as a password is.
    Identity(String),
    /// Sent as it is.
    Registry(String),
}

#[derive(Debug)]
pub(super) struct Authorizer {
    credentials: Credentials,
    /// `repository:library/busybox:pull`.
    scope: String,
    /// The `Authorization` header in use.
    header: Mutex<Option<String>>,
    /// A token server is asked for a lasting token too, which is kept here.
    identity: Option<Mutex<String>>,
}

/// A parsed `WWW-Authenticate`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    basic: bool,
    realm: String,
    service: String,
    scope: String,
}

#[derive(Debug, Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
}

impl Authorizer {
    /// `auth` is ignored if it says that it is for another registry than `domain`.
    pub fn new(domain: &str, scope: String, auth: Option<AuthConfig>) -> Authorizer {
        let credentials = auth
            .filter(|auth| is_for(&auth.serveraddress, domain))
            .map(credentials);
        let credentials = credentials.unwrap_or_default();
        let header = match &credentials {
            Credentials::Registry(token) => Some(format!("Bearer {token}")),
            _ => None,
        };
        Authorizer {
            credentials,
            scope,
            header: Mutex::new(header),
            identity: None,
        }
    }

    /// For the registry as a whole, without a repository.
    pub fn for_login(auth: AuthConfig) -> Authorizer {
        let identity = auth.identitytoken.clone();
        Authorizer {
            credentials: credentials(auth),
            scope: String::new(),
            header: Mutex::default(),
            identity: Some(Mutex::new(identity)),
        }
    }

    /// The lasting token that a login was given or came with.
    pub fn identity(&self) -> String {
        self.identity
            .as_ref()
            .map(|token| token.lock().clone())
            .unwrap_or_default()
    }

    pub fn header(&self) -> Option<String> {
        self.header.lock().clone()
    }

    /// Answers a 401 of the registry at `from`; false if there is nothing (more) to offer.
    pub async fn answer(
        &self,
        http: &Http,
        from: &Uri,
        challenges: &[String],
        idle: Duration,
    ) -> Result<bool> {
        let parsed: Vec<_> = challenges.iter().filter_map(|text| parse(text)).collect();
        let tried = self.header();
        if let Some(bearer) = parsed.iter().find(|challenge| !challenge.basic) {
            let token = self.token(http, from, bearer, idle).await?;
            let header = format!("Bearer {token}");
            let new = tried.as_ref() != Some(&header);
            *self.header.lock() = Some(header);
            return Ok(new);
        }
        if !parsed.iter().any(|challenge| challenge.basic) {
            return Ok(false);
        }
        let Credentials::Password(user, password) = &self.credentials else {
            // Not "unauthorized": that makes clients ask for credentials in the middle of a script.
            return Err(Error::Refused(format!(
                "Get \"{from}\": no basic auth credentials"
            )));
        };
        let header = basic(user, password);
        let new = tried.as_ref() != Some(&header);
        *self.header.lock() = Some(header);
        Ok(new)
    }

    async fn token(&self, http: &Http, from: &Uri, challenge: &Challenge, idle: Duration) -> Result<String> {
        let realm: Uri = challenge
            .realm
            .parse()
            .map_err(|_| Error::Unreachable(format!("invalid token server {:?}", challenge.realm)))?;
        let safe = realm.scheme_str() == Some("https") || from.scheme_str() == Some("http");
        if !safe || !matches!(realm.scheme_str(), Some("https" | "http")) {
            return Err(Error::Unauthorized(format!(
                "the registry at {from} names a token server without TLS: {realm}"
            )));
        }
        let scope = wanted(&self.scope, &challenge.scope);
        let mut fields = vec![("service", challenge.service.as_str())];
        let scopes = scope.split_whitespace();
        let request = match &self.credentials {
            Credentials::Identity(identity) => {
                // This form takes all scopes in one field, the other a field each.
                fields.extend([
                    ("scope", scope.as_str()),
                    ("grant_type", "refresh_token"),
                    ("client_id", "shoal"),
                    ("refresh_token", identity.as_str()),
                ]);
                let form = full(encode(&fields));
                let request = Request::builder().method(Method::POST).uri(realm.clone());
                request
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form)
            }
            credentials => {
                let mut request = Request::builder();
                fields.extend(scopes.map(|scope| ("scope", scope)));
                if let Credentials::Password(user, password) = credentials {
                    fields.push(("account", user));
                    if self.identity.is_some() {
                        fields.extend([("client_id", "shoal"), ("offline_token", "true")]);
                    }
                    request = request.header(header::AUTHORIZATION, basic(user, password));
                }
                let joint = if realm.query().is_some() { '&' } else { '?' };
                request
                    .uri(format!("{realm}{joint}{}", encode(&fields)))
                    .body(full(Bytes::new()))
            }
        };
        let request =
            request.map_err(|e| Error::Unreachable(format!("cannot ask {realm} for a token: {e}")))?;
        let response = http.send(request).await?;
        let status = response.status();
        let text = body::small(response.into_body(), TOKEN_MAX, idle).await?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(Error::Unauthorized(
                "unauthorized: incorrect username or password".to_owned(),
            ));
        }
        if !status.is_success() {
            return Err(Error::Unreachable(format!(
                "Get \"{realm}\": unexpected HTTP status: {status}"
            )));
        }
        let token: Token = serde_json::from_slice(&text)
            .map_err(|e| Error::Unreachable(format!("the token server {realm} gave no token: {e}")))?;
        if let (Some(identity), false) = (&self.identity, token.refresh_token.is_empty()) {
            *identity.lock() = token.refresh_token;
        }
        match if token.token.is_empty() {
            token.access_token
        } else {
            token.token
        } {
            empty if empty.is_empty() => Err(Error::Unauthorized(
                "authorization server did not include a token in the response".to_owned(),
            )),
            token => Ok(token),
        }
    }
}

pub(super) fn challenges(response: &Response<Incoming>) -> Vec<String> {
    let values = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

/// What a challenge asks for, with all that we are going to need of our own repository: a registry that is looked at
/// first asks for less than one that is then written to.
fn wanted(own: &str, asked: &str) -> String {
    let repository = |scope: &str| scope.rsplit_once(':').map(|(name, _)| name.to_owned());
    let scopes = asked.split_whitespace().map(|scope| {
        let same = repository(scope).is_some() && repository(scope) == repository(own);
        if same { own } else { scope }
    });
    match asked.trim().is_empty() {
        true => own.to_owned(),
        false => scopes.collect::<Vec<_>>().join(" "),
    }
}

fn credentials(auth: AuthConfig) -> Credentials {
    if !auth.registrytoken.is_empty() {
        return Credentials::Registry(auth.registrytoken);
    }
    if !auth.identitytoken.is_empty() {
        return Credentials::Identity(auth.identitytoken);
    }
    if !auth.username.is_empty() {
        return Credentials::Password(auth.username, auth.password);
    }
    let decoded = STANDARD
        .decode(auth.auth.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Credentials::Password(user.to_owned(), password.to_owned()),
        None => Credentials::None,
    }
}

/// The header of who signs in by name, if the credentials are for this registry.
pub(super) fn basic_of(auth: AuthConfig, domain: &str) -> Option<String> {
    match is_for(&auth.serveraddress, domain).then(|| credentials(auth))? {
        Credentials::Password(user, password) => Some(basic(&user, &password)),
        _ => None,
    }
}

/// Clients write the address in many ways: `https://index.docker.io/v1/`, `registry:5000`.
fn is_for(address: &str, domain: &str) -> bool {
    let host = address
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    host.is_empty() || host == domain || (hub(host) && hub(domain))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
                other => out += &format!("%{other:02X}"),
            }
            out
        })
    };
    let pairs = fields.iter().filter(|(_, value)| !value.is_empty());
    pairs
        .map(|(key, value)| format!("{key}={}", escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// `Bearer realm="…",service="…",scope="…"`; quoted values may hold commas.
fn parse(text: &str) -> Option<Challenge> {
    let (scheme, mut rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let mut challenge = Challenge {
        basic: scheme.eq_ignore_ascii_case("basic"),
        ..Challenge::default()
    };
    if !challenge.basic && !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        match key
            .trim()
            .trim_start_matches(',')
            .trim()
            .to_ascii_lowercase()
            .as_str()
        {
            "realm" => challenge.realm = value.to_owned(),
            "service" => challenge.service = value.to_owned(),
            "scope" => challenge.scope = value.to_owned(),
            _ => {}
        }
        rest = next;
    }
    Some(challenge)
}

/// For the tests that try it with what is wrong.
#[cfg(test)]
pub(crate) fn try_challenge(text: &str) {
    let _ = parse(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        let text =
            r#"Bearer realm="https://auth/token",service="reg,istry",scope="repository:a/b:pull,push""#;
        let want = Challenge {
            basic: false,
            realm: "https://auth/token".into(),
            service: "reg,istry".into(),
            scope: "repository:a/b:pull,push".into(),
        };
        assert_eq!(parse(text), Some(want));
        assert!(parse("basic realm=x").is_some_and(|challenge| challenge.basic && challenge.realm == "x"));
        assert_eq!(parse("Negotiate"), None);
    }

    #[test]
    fn asks_once_for_all_it_needs() {
        let own = "repository:a/b:pull,push";
        assert_eq!(wanted(own, ""), own);
        assert_eq!(wanted(own, "repository:a/b:pull"), own);
        let mount = "repository:c:pull repository:a/b:push";
        assert_eq!(wanted(own, mount), format!("repository:c:pull {own}"));
        assert_eq!(wanted("", "registry:catalog:*"), "registry:catalog:*");
    }

    #[test]
    fn binds_credentials_to_their_registry() {
        for (address, domain, want) in [
            ("https://index.docker.io/v1/", "docker.io", true),
            ("", "docker.io", true),
            ("registry:5000", "registry:5000", true),
            ("http://registry:5000/v2/", "registry:5000", true),
            ("registry:5000", "evil:5000", false),
            ("docker.io", "evil.com", false),
        ] {
            assert_eq!(is_for(address, domain), want, "{address} for {domain}");
        }
    }
}
