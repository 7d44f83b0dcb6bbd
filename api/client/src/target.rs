//! Where a daemon is.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Certificates for a TLS connection. Without `verify` any server certificate is taken, as `docker --tls` does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub verify: bool,
}

impl TlsFiles {
    /// `ca.pem`, `cert.pem` and `key.pem` in `dir`, as far as they exist.
    pub fn in_dir(dir: &Path, verify: bool) -> TlsFiles {
        let there = |name: &str| Some(dir.join(name)).filter(|p| p.exists());
        TlsFiles {
            ca: there("ca.pem"),
            cert: there("cert.pem"),
            key: there("key.pem"),
            verify,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `unix:///path`
    Unix(PathBuf),
    /// `tcp://host:port`
    Tcp {
        host: String,
        port: u16,
        tls: Option<TlsFiles>,
    },
    /// `ssh://[user@]host[:port]`: `docker system dial-stdio` at the other end of ssh.
    Ssh { destination: String, port: Option<u16> },
}

pub const DEFAULT: &str = "unix:///var/run/docker.sock";

impl Target {
    /// The same place with TLS, where that makes sense.
    pub fn with_tls(self, files: Option<TlsFiles>) -> Target {
        match self {
            Target::Tcp { host, port, tls } => Target::Tcp {
                host,
                port,
                tls: files.or(tls),
            },
            other => other,
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Target> {
        let bad = || Error::Target(format!("unable to parse docker host `{text}`"));
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        match scheme {
            "unix" if rest.is_empty() => Ok(Target::Unix("/var/run/docker.sock".into())),
            "unix" => Ok(Target::Unix(rest.into())),
            "tcp" | "http" | "https" => {
                let rest = rest.split('/').next().unwrap_or_default();
                let (host, port) = match rest.rsplit_once(':') {
                    Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| bad())?),
                    _ => (rest, 2375),
                };
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                // Fails closed: without a CA to verify with, such a host is refused rather than trusted.
                let tls = (scheme == "https").then(|| TlsFiles {
                    verify: true,
                    ..TlsFiles::default()
                });
                Ok(Target::Tcp {
                    host: host.to_owned(),
                    port,
                    tls,
                })
            }
            "ssh" => {
                let rest = rest.trim_end_matches('/');
                // A destination that starts with a dash would be read by ssh as an option.
                if rest.is_empty() || rest.starts_with('-') || rest.contains('/') {
                    return Err(bad());
                }
                let (destination, port) = match rest.rsplit_once(':') {
                    Some((destination, port)) => (destination, Some(port.parse().map_err(|_| bad())?)),
                    None => (rest, None),
                };
                Ok(Target::Ssh {
                    destination: destination.to_owned(),
                    port,
                })
            }
            _ => Err(bad()),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Unix(path) => write!(f, "unix://{}", path.display()),
            Target::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Target::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
            Target::Ssh {
                destination,
                port: None,
            } => write!(f, "ssh://{destination}"),
            Target::Ssh {
                destination,
                port: Some(port),
            } => write!(f, "ssh://{destination}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("unix:///a/b.sock", "unix:///a/b.sock"),
            ("unix://", "unix:///var/run/docker.sock"),
            ("tcp://1.2.3.4:2376", "tcp://1.2.3.4:2376"),
            ("tcp://:2375", "tcp://127.0.0.1:2375"),
            ("tcp://host", "tcp://host:2375"),
            ("tcp://[::1]:99", "tcp://[::1]:99"),
            ("ssh://me@there:22", "ssh://me@there:22"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown, "{text}");
        }
        for bad in [
            "",
            "nonsense",
            "ftp://x",
            "tcp://h:port",
            "ssh://",
            "ssh://-oProxyCommand=x",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
