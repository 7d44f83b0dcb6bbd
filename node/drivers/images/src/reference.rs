//! Names of images, with Docker Hub's defaults: `busybox` is `docker.io/library/busybox:latest`.

use std::fmt;

use crate::digest::Digest;
use crate::error::{Error, Result};

const HUB: &str = "docker.io";
const NAME_MAX: usize = 255;

/// A parsed name: `domain/path[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a user writes it. A name without tag and digest stays so; see [`Reference::or_latest`].
    pub fn parse(text: &str) -> Result<Reference> {
        let invalid = |why: &str| Error::InvalidReference(format!("invalid reference format{why}"));
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Error::InvalidReference(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(|_| invalid(""))?)),
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let (name, tag) = match rest.rfind(':') {
            Some(colon) if !rest[colon..].contains('/') => (&rest[..colon], Some(&rest[colon + 1..])),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !valid_tag(tag)) {
            return Err(invalid(""));
        }
        let (domain, path) = split_domain(name);
        let path = match domain == HUB && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid(&format!(": repository name ({path}) must be lowercase")));
        }
        if !valid_domain(domain) || !path.split('/').all(valid_component) {
            return Err(invalid(""));
        }
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(Error::InvalidReference(
                "repository name must not be more than 255 characters".into(),
            ));
        }
        Ok(Reference {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The same with the tag `latest` if it has neither tag nor digest.
    pub fn or_latest(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        match valid_tag(tag) {
            true => Ok(Reference {
                tag: Some(tag.to_owned()),
                digest: None,
                ..self.clone()
            }),
            false => Err(Error::InvalidReference("invalid tag format".to_owned())),
        }
    }

    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The registry: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `docker.io/library/busybox`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as Docker shows it: `busybox`, `localhost:5000/a/b`.
    pub fn familiar_name(&self) -> String {
        if self.domain != HUB {
            return self.repository();
        }
        // Only one word may follow: `library/a/b` would be read back as `a/b`.
        let official = self.path.strip_prefix("library/").filter(|p| !p.contains('/'));
        official.unwrap_or(&self.path).to_owned()
    }

    /// The whole name as Docker shows it: `busybox:1.36`, `busybox@sha256:…`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text += ":";
            text += tag;
        }
        if let Some(digest) = &self.digest {
            text += "@";
            text += digest.as_str();
        }
        text
    }
}

/// The full form, defaults spelled out; parses back to the same reference.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.repository()))
    }
}

fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (if first == "index.docker.io" { HUB } else { first }, rest)
        }
        _ => (HUB, name),
    }
}

fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    matches!(bytes, [first, rest @ ..] if word(*first) && rest.len() <= 127
        && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-'))
}

/// Lower case letters and digits, held together by `.`, `_`, `__` or any number of `-`.
fn valid_component(component: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let word = rest.iter().take_while(|b| plain(b)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let glue = rest.iter().take_while(|b| !plain(b)).count();
        let valid = matches!(&rest[..glue], b"." | b"_" | b"__") || rest[..glue].iter().all(|&b| b == b'-');
        if !valid {
            return false;
        }
        rest = &rest[glue..];
    }
}

fn valid_domain(domain: &str) -> bool {
    if let Some(rest) = domain.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let valid = address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') && !address.is_empty();
        return valid && (port.is_empty() || port.strip_prefix(':').is_some_and(valid_port));
    }
    let (host, port) = match domain.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (domain, None),
    };
    port.is_none_or(valid_port)
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn valid_port(port: &str) -> bool {
    port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_docker_hubs_defaults() {
        let hex = "a".repeat(64);
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            ("grafana/loki:2", "docker.io/grafana/loki:2", "grafana/loki:2"),
            ("localhost/a", "localhost/a", "localhost/a"),
            (
                "localhost:5000/a/b:c",
                "localhost:5000/a/b:c",
                "localhost:5000/a/b:c",
            ),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("Host/a", "Host/a", "Host/a"),
            ("a__b/c--d_e.f", "docker.io/a__b/c--d_e.f", "a__b/c--d_e.f"),
            (
                &format!("a@sha256:{hex}"),
                &format!("docker.io/library/a@sha256:{hex}"),
                &format!("a@sha256:{hex}"),
            ),
            (
                &format!("a:1@sha256:{hex}"),
                &format!("docker.io/library/a:1@sha256:{hex}"),
                &format!("a:1@sha256:{hex}"),
            ),
        ] {
            let reference = Reference::parse(text).expect(text);
            assert_eq!(
                (reference.to_string().as_str(), reference.familiar().as_str()),
                (full, familiar)
            );
            assert_eq!(Reference::parse(full).expect(full), reference);
        }
        assert_eq!(
            Reference::parse("a").expect("name").or_latest().familiar(),
            "a:latest"
        );
    }

    #[test]
    fn refuses_in_dockers_words() {
        let long = "a/".repeat(130) + "a";
        for (text, message) in [
            ("", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("a b", "invalid reference format"),
            ("a:b:c", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a/../b", "invalid reference format"),
            ("a@sha256:12", "invalid reference format"),
            ("host:99999/a", "invalid reference format"),
            (
                "Busy",
                "invalid reference format: repository name (library/Busy) must be lowercase",
            ),
            (&long, "repository name must not be more than 255 characters"),
            (
                &"f".repeat(64),
                &format!(
                    "invalid repository name ({}), cannot specify 64-byte hexadecimal strings",
                    "f".repeat(64)
                ),
            ),
        ] {
            assert_eq!(Reference::parse(text).expect_err(text).to_string(), message);
        }
    }
}
