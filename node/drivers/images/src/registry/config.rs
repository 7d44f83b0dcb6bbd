//! Which registries are trusted how.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::proxy::Proxies;

/// The daemon's settings about registries (`insecure-registries`, `max-concurrent-downloads`,
/// `max-concurrent-uploads`, `max-download-attempts`).
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// `host[:port]` or networks (`10.0.0.0/8`) where certificates are not checked and plain HTTP will do.
    /// Loopback always is one.
    pub insecure: Vec<String>,
    /// `https://host[/path]`, asked before the Hub and without anybody's credentials.
    pub mirrors: Vec<String>,
    /// Folders with one below them for each registry: whom it is trusted by, and who we are to it (`certs.d`).
    pub certificates: Vec<PathBuf>,
    pub proxies: Proxies,
    /// Layers downloaded at a time, over all pulls.
    pub downloads_max: usize,
    /// Blobs uploaded at a time, over all pushes.
    pub uploads_max: usize,
    /// Tries for one layer before the pull or push fails.
    pub attempts_max: u32,
    /// Wait before the second try; grows with each.
    pub retry_delay: Duration,
    /// Without an answer or a byte for this long, a try has failed.
    pub idle_timeout: Duration,
}

impl Default for RegistryConfig {
    fn default() -> RegistryConfig {
        RegistryConfig {
            insecure: Vec::new(),
            mirrors: Vec::new(),
            certificates: Vec::new(),
            proxies: Proxies::default(),
            downloads_max: 3,
            uploads_max: 5,
            attempts_max: 5,
            retry_delay: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl RegistryConfig {
    /// Whether plain HTTP and unknown certificates are accepted for this `host[:port]`.
    pub fn is_insecure(&self, domain: &str) -> bool {
        let host = domain.rsplit_once(':').map_or(domain, |(host, port)| {
            if port.bytes().all(|b| b.is_ascii_digit()) {
                host
            } else {
                domain
            }
        });
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.insecure
            .iter()
            .any(|entry| match (entry.parse::<IpNet>(), address) {
                (Ok(net), Some(address)) => net.contains(&address),
                (Ok(_), None) => false,
                (Err(_), _) => entry == domain || entry == host,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_what_is_listed() {
        let insecure = vec![
            "registry.lan:5000".into(),
            "10.1.0.0/16".into(),
            "other.lan".into(),
        ];
        let config = RegistryConfig {
            insecure,
            ..RegistryConfig::default()
        };
        for yes in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "registry.lan:5000",
            "10.1.2.3:443",
            "other.lan:1",
        ] {
            assert!(config.is_insecure(yes), "{yes}");
        }
        for no in [
            "docker.io",
            "registry.lan",
            "10.2.0.1",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
        ] {
            assert!(!config.is_insecure(no), "{no}");
        }
    }
}
