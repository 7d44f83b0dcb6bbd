//! Which engine is meant, and how it is reached.

use crate::context::Contexts;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where docker's client looks when nothing is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    Tcp {
        address: String,
        tls: Option<TlsMaterial>,
    },
    /// `ssh://[user@]host[:port]`: runs `docker system dial-stdio` there.
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
        socket: Option<String>,
    },
}

/// PEM files for TLS towards an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsMaterial {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Believe whatever certificate the engine shows (`--tls` without `--tlsverify`).
    pub skip_verify: bool,
}

/// What flags say; empty leaves it to the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// `-H`
    pub host: Option<String>,
    /// `-c`
    pub context: Option<String>,
    /// `--tls`
    pub tls: bool,
    /// `--tlsverify`
    pub tls_verify: bool,
    pub tls_ca: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
}

impl Endpoint {
    /// In docker's order: `-H`, `-c`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context of the configuration, the socket.
    pub fn resolve(choice: &Choice, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let config = env("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| Path::new(&home).join(".docker")))
            .unwrap_or_else(|| PathBuf::from("/root/.docker"));
        let contexts = Contexts::new(config.clone());
        if let Some(host) = &choice.host {
            return Self::parse(host, choice.tls_material(&config, env));
        }
        if let Some(name) = &choice.context {
            return contexts.endpoint(name);
        }
        if let Some(host) = env("DOCKER_HOST") {
            return Self::parse(&host, choice.tls_material(&config, env));
        }
        match env("DOCKER_CONTEXT").or_else(|| contexts.current()) {
            Some(name) => contexts.endpoint(&name),
            None => Ok(Self::Unix(DEFAULT_SOCKET.into())),
        }
    }

    /// `unix://`, `tcp://`, `http(s)://`, `ssh://`, or a bare path.
    pub fn parse(host: &str, tls: Option<TlsMaterial>) -> Result<Self> {
        let bad = |reason| Error::Host {
            host: host.to_owned(),
            reason,
        };
        if let Some(path) = host.strip_prefix("unix://") {
            return Ok(Self::Unix(if path.is_empty() {
                DEFAULT_SOCKET.into()
            } else {
                path.into()
            }));
        }
        if host.starts_with('/') {
            return Ok(Self::Unix(host.into()));
        }
        if let Some(rest) = host.strip_prefix("ssh://") {
            return parse_ssh(rest).ok_or(bad("want ssh://[user@]host[:port]"));
        }
        let (rest, secure) = match host.split_once("://") {
            Some(("tcp" | "http", rest)) => (rest, false),
            Some(("https", rest)) => (rest, true),
            Some(_) => return Err(bad("want unix://, tcp://, http://, https:// or ssh://")),
            None => (host, false),
        };
        let rest = rest.trim_end_matches('/');
        if rest.is_empty() || rest.contains('/') {
            return Err(bad("want tcp://host[:port]"));
        }
        let tls = tls.or(secure.then(TlsMaterial::default));
        let has_port = rest
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = match (has_port, &tls) {
            (true, _) => rest.to_owned(),
            (false, Some(_)) => format!("{rest}:2376"),
            (false, None) => format!("{rest}:2375"),
        };
        Ok(Self::Tcp { address, tls })
    }

    /// As a user would write it.
    pub fn display(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp { address, .. } => format!("tcp://{address}"),
            Self::Ssh { user, host, port, .. } => {
                let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("ssh://{user}{host}{port}")
            }
        }
    }
}

impl Choice {
    fn tls_material(&self, config: &Path, env: impl Fn(&str) -> Option<String>) -> Option<TlsMaterial> {
        let verify = self.tls_verify || env("DOCKER_TLS_VERIFY").is_some();
        if !verify && !self.tls && env("DOCKER_TLS").is_none() {
            return None;
        }
        let dir = env("DOCKER_CERT_PATH").map_or_else(|| config.to_owned(), PathBuf::from);
        let file = |given: &Option<PathBuf>, name: &str| {
            // A default file counts only when it is there, a file that was asked for always.
            given
                .clone()
                .or_else(|| Some(dir.join(name)).filter(|path| path.exists()))
        };
        Some(TlsMaterial {
            ca: file(&self.tls_ca, "ca.pem"),
            certificate: file(&self.tls_certificate, "cert.pem"),
            key: file(&self.tls_key, "key.pem"),
            skip_verify: !verify,
        })
    }
}

/// Host and user become words of a command line: nothing that looks like an option may be among them.
fn parse_ssh(rest: &str) -> Option<Endpoint> {
    let (authority, path) = rest
        .split_once('/')
        .map_or((rest, None), |(a, p)| (a, Some(format!("/{p}"))));
    let (user, address) = match authority.rsplit_once('@') {
        Some((user, address)) => (Some(user.to_owned()), address),
        None => (None, authority),
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, Some(port.parse().ok()?)),
        _ => (address, None),
    };
    let clean =
        |word: &str| !word.is_empty() && !word.starts_with('-') && !word.contains(char::is_whitespace);
    if !clean(host) || user.as_deref().is_some_and(|user| !clean(user)) {
        return None;
    }
    let socket = path.filter(|path| path != "/");
    Some(Endpoint::Ssh {
        user,
        host: host.to_owned(),
        port,
        socket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        assert_eq!(
            Endpoint::parse("unix:///x", None).unwrap(),
            Endpoint::Unix("/x".into())
        );
        let tcp = |address: &str, tls| Endpoint::Tcp {
            address: address.into(),
            tls,
        };
        assert_eq!(Endpoint::parse("tcp://h:1", None).unwrap(), tcp("h:1", None));
        assert_eq!(Endpoint::parse("tcp://h", None).unwrap(), tcp("h:2375", None));
        assert_eq!(
            Endpoint::parse("https://h/", None).unwrap(),
            tcp("h:2376", Some(TlsMaterial::default()))
        );
        assert_eq!(
            Endpoint::parse("ssh://me@h:22", None).unwrap(),
            Endpoint::Ssh {
                user: Some("me".into()),
                host: "h".into(),
                port: Some(22),
                socket: None
            }
        );
        for bad in ["ftp://h", "tcp://", "ssh://-oProxyCommand=x", "ssh://a b"] {
            assert!(Endpoint::parse(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_come_before_the_environment() {
        let env = |name: &str| match name {
            "DOCKER_HOST" => Some("tcp://env:1".to_owned()),
            "HOME" => Some("/nonexistent".to_owned()),
            _ => None,
        };
        let choice = Choice {
            host: Some("tcp://flag:1".into()),
            ..Choice::default()
        };
        assert_eq!(Endpoint::resolve(&choice, env).unwrap().display(), "tcp://flag:1");
        assert_eq!(
            Endpoint::resolve(&Choice::default(), env).unwrap().display(),
            "tcp://env:1"
        );
        let none = |_: &str| None;
        assert_eq!(
            Endpoint::resolve(&Choice::default(), none).unwrap().display(),
            "unix:///var/run/docker.sock"
        );
    }
}
