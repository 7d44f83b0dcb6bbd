//! What is known for some seconds of the registries that were asked last: a client, whose connections stay open, and how
//! the registry wanted to be spoken to. Whoever relies on that must be ready to find it out anew.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::certs::{self, Stamp};
use super::config::RegistryConfig;
use super::http::Http;
use crate::error::Result;

/// How long after it was asked last.
pub(super) const KEPT: Duration = Duration::from_secs(15);
/// Registries known at a time; each holds a few connections.
const WAYS_MAX: usize = 16;

/// By registry (`host[:port]`), for one configuration.
#[derive(Debug, Default)]
pub(crate) struct Ways(Mutex<HashMap<String, Way>>);

#[derive(Debug)]
struct Way {
    http: Http,
    /// Of the operator's certificates when they were read.
    stamp: Stamp,
    found: Option<Found>,
    used: Instant,
}

/// What a registry answered when it was asked whether it is one.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// `https://registry-1.docker.io`.
    pub base: String,
    /// What it wants to see before it says more.
    pub challenges: Vec<String>,
}

impl Ways {
    /// A client for a registry: the last one's, unless the operator's certificates changed since.
    pub(super) async fn client(self: &Arc<Self>, config: &RegistryConfig, domain: &str) -> Result<Http> {
        // A look at directories of which most are not there: no thread is worth waking for it.
        let stamp = certs::stamp(&config.certificates, domain);
        if let Some(way) = self.0.lock().get_mut(domain)
            && way.stamp == stamp
        {
            way.used = Instant::now();
            return Ok(way.http.clone());
        }
        let http = Http::open(config, domain).await?;
        let way = Way {
            http: http.clone(),
            stamp,
            found: None,
            used: Instant::now(),
        };
        tokio::spawn(expire(Arc::downgrade(self), domain.to_owned()));
        let mut known = self.0.lock();
        known.insert(domain.to_owned(), way);
        if known.len() > WAYS_MAX {
            let oldest = known.iter().min_by_key(|(_, way)| way.used);
            let oldest = oldest.map(|(domain, _)| domain.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        Ok(http)
    }

    pub(super) fn found(&self, domain: &str) -> Option<Found> {
        self.0.lock().get(domain)?.found.clone()
    }

    pub(super) fn set_found(&self, domain: &str, found: Found) {
        if let Some(way) = self.0.lock().get_mut(domain) {
            way.found = Some(found);
        }
    }

    /// It is not so any more, or may not be.
    pub fn forget(&self, domain: &str) {
        self.0.lock().remove(domain);
    }
}

/// Lets go of a registry that nobody has asked for a while.
async fn expire(ways: Weak<Ways>, domain: String) {
    let mut until = Instant::now() + KEPT;
    loop {
        tokio::time::sleep_until(until).await;
        let Some(ways) = ways.upgrade() else { return };
        let mut known = ways.0.lock();
        match known.get(&domain) {
            Some(way) if way.used + KEPT > Instant::now() => until = way.used + KEPT,
            Some(_) => drop(known.remove(&domain)),
            None => return,
        }
    }
}
