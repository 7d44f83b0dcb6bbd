//! Where a plugin listens.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// A plugin's address, as a `.spec` or `.json` file gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `unix:///run/x.sock`
    Unix(PathBuf),
    /// `tcp://host:port` or `http://host:port`: host and port.
    Tcp(String),
    /// `https://host:port`, or `tcp://` with TLS described.
    Tls(String, Tls),
}

/// Docker's `TLSConfig` of a `.json` description. Files may be absent; without `CAFile` the system's roots count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tls {
    #[serde(rename = "InsecureSkipVerify")]
    pub insecure_skip_verify: bool,
    #[serde(rename = "CAFile")]
    pub ca_file: PathBuf,
    #[serde(rename = "CertFile")]
    pub cert_file: PathBuf,
    #[serde(rename = "KeyFile")]
    pub key_file: PathBuf,
}

impl Address {
    /// Reads a URL. Says why not.
    pub fn parse(text: &str, tls: Option<Tls>) -> Result<Address, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("{text:?} is not an address like unix:///path or tcp://host:port"))?;
        if scheme == "unix" {
            let path = PathBuf::from(rest);
            return if path.is_absolute() {
                Ok(Address::Unix(path))
            } else {
                Err(format!("{text:?}: the path of a socket must be absolute"))
            };
        }
        let host = rest.split('/').next().unwrap_or_default();
        if host.is_empty() {
            return Err(format!("{text:?} names no host"));
        }
        let default = |port: u16| match host.rsplit_once(':') {
            Some((_, digits)) if digits.parse::<u16>().is_ok() => host.to_owned(),
            _ => format!("{host}:{port}"),
        };
        match (scheme, tls) {
            ("tcp" | "http", None) => Ok(Address::Tcp(default(80))),
            ("tcp" | "https", Some(tls)) => Ok(Address::Tls(default(443), tls)),
            ("https", None) => Ok(Address::Tls(default(443), Tls::default())),
            ("http", Some(_)) => Err(format!("{text:?} with a TLS configuration")),
            _ => Err(format!("{text:?}: unknown scheme {scheme:?}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp(host) => write!(f, "tcp://{host}"),
            Address::Tls(host, _) => write!(f, "https://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let parse = |text: &str| Address::parse(text, None);
        assert_eq!(
            parse("unix:///run/a.sock"),
            Ok(Address::Unix("/run/a.sock".into()))
        );
        assert_eq!(parse("tcp://h:81"), Ok(Address::Tcp("h:81".into())));
        assert_eq!(parse("http://h"), Ok(Address::Tcp("h:80".into())));
        assert_eq!(
            parse("https://[::1]:9"),
            Ok(Address::Tls("[::1]:9".into(), Tls::default()))
        );
        for bad in ["", "h:1", "unix://a", "tcp://", "ftp://h"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
