//! `docker network …` over both kinds: those of this host, which the engine has, and those of the cluster, which a
//! manager knows.

use crate::seat::Seat;
use async_trait::async_trait;
use http::Method;
use serde::de::DeserializeOwned;
use shoal_api_backend::{Class, Error, Forwarding, Networks, Result, Route, Swarm};
use shoal_api_types::network::*;
use shoal_api_types::{Filters, Slice};
use shoal_node_engine::OverlayNetworks;
use std::sync::Arc;
use std::time::Duration;

/// A list of networks does not wait for a cluster that has no leader.
const LIST_PATIENCE: Duration = Duration::from_secs(3);
const SWARM: &str = "swarm";
const OVERLAY: &str = "overlay";

pub struct AllNetworks {
    engine: Arc<dyn Networks>,
    overlays: OverlayNetworks,
    seat: Arc<Seat>,
}

impl AllNetworks {
    pub fn new(engine: Arc<dyn Networks>, overlays: OverlayNetworks, seat: Arc<Seat>) -> Self {
        Self {
            engine,
            overlays,
            seat,
        }
    }

    async fn of_cluster(&self, filters: &Filters) -> Result<Vec<Network>> {
        match self.seat.route(false).await {
            Route::Local => self.seat.networks(filters.clone()).await,
            Route::Remote(duplex) => {
                let filters = serde_json::to_string(&filters.0).map_err(|e| Error::system(e.to_string()))?;
                let path = format!("/swarm/networks?filters={}", quoted(&filters));
                read(&shoal_api_http::ask(duplex, Method::GET, &path, NOTHING).await?)
            }
            Route::Refuse(error) => Err(error),
        }
    }

    async fn one_of_cluster(&self, id: &str, verbose: bool) -> Result<Network> {
        match self.seat.route(false).await {
            Route::Local => self.seat.network(id, verbose).await,
            Route::Remote(duplex) => {
                let path = format!("/swarm/networks/{}?verbose={verbose}", quoted(id));
                read(&shoal_api_http::ask(duplex, Method::GET, &path, NOTHING).await?)
            }
            Route::Refuse(error) => Err(error),
        }
    }

    async fn remove_of_cluster(&self, id: &str) -> Result<()> {
        match self.seat.route(true).await {
            Route::Local => self.seat.remove_network(id).await,
            Route::Remote(duplex) => {
                let path = format!("/swarm/networks/{}", quoted(id));
                shoal_api_http::ask(duplex, Method::DELETE, &path, NOTHING)
                    .await
                    .map(drop)
            }
            Route::Refuse(error) => Err(error),
        }
    }

    async fn is_member(&self) -> bool {
        self.seat.info().await.local_node_state == "active"
    }
}

const NOTHING: Option<&()> = None;

/// As part of an address.
fn quoted(text: &str) -> String {
    let byte = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.') => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|e| Error::system(format!("cannot read a manager's answer: {e}")))
}

#[async_trait]
impl Networks for AllNetworks {
    async fn list(&self, filters: Filters) -> Result<Vec<Network>> {
        let mut all = self.engine.list(filters.clone()).await?;
        if self.is_member().await {
            // Whatever keeps the cluster from answering, the host's own networks are there.
            if let Ok(Ok(cluster)) = tokio::time::timeout(LIST_PATIENCE, self.of_cluster(&filters)).await {
                all.retain(|own| own.driver != OVERLAY || !cluster.iter().any(|n| n.id == own.id));
                all.extend(cluster);
                all.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        Ok(all)
    }

    async fn inspect(&self, id: &str, verbose: bool, scope: &str) -> Result<Network> {
        let own = match scope {
            SWARM => Err(Error::not_found(format!("network {id} not found"))),
            _ => self.engine.inspect(id, verbose, scope).await,
        };
        match own {
            Ok(own) if own.driver == OVERLAY => match self.one_of_cluster(&own.id, verbose).await {
                // Who is on it here, this host knows.
                Ok(shown) => Ok(Network {
                    containers: own.containers,
                    ..shown
                }),
                Err(_) => Ok(own),
            },
            Err(error) if error.class == Class::NotFound && scope != "local" && self.is_member().await => {
                self.one_of_cluster(id, verbose).await
            }
            own => own,
        }
    }

    async fn create(&self, request: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        let of_cluster = request.driver == OVERLAY || request.scope == SWARM || request.ingress;
        let name = request.name.trim().to_owned();
        // Another driver than the overlay's cannot be the cluster's; the engine says of an ingress network why.
        if !of_cluster || (request.ingress && !matches!(request.driver.as_str(), "" | OVERLAY)) {
            return self.engine.create(request).await;
        }
        if request.driver != OVERLAY && !self.is_member().await {
            return Err(Error::forbidden(
                "cannot create a swarm scoped network when swarm is not active",
            ));
        }
        if self
            .engine
            .inspect(&name, false, "")
            .await
            .is_ok_and(|n| n.name == name)
        {
            return Err(Error::conflict(format!(
                "network with name {name} already exists"
            )));
        }
        match self.seat.route(true).await {
            Route::Local => self.seat.create_network(request).await,
            Route::Remote(duplex) => read(
                &shoal_api_http::ask(duplex, Method::POST, "/swarm/networks/create", Some(&request)).await?,
            ),
            Route::Refuse(error) => Err(error),
        }
    }

    async fn remove(&self, id: &str) -> Result<()> {
        match self.engine.inspect(id, false, "").await {
            Ok(own) if own.driver != OVERLAY => self.engine.remove(id).await,
            Ok(own) => self.remove_of_cluster(&own.id).await,
            Err(error) if error.class == Class::NotFound && self.is_member().await => {
                self.remove_of_cluster(id).await
            }
            Err(error) => Err(error),
        }
    }

    async fn connect(&self, id: &str, request: NetworkConnectRequest) -> Result<()> {
        self.engine.connect(id, request).await
    }

    async fn disconnect(&self, id: &str, request: NetworkDisconnectRequest) -> Result<()> {
        self.engine.disconnect(id, request).await
    }

    async fn examine(&self) -> Result<Vec<String>> {
        let overlays = self.overlays.clone();
        let done = tokio::task::spawn_blocking(move || overlays.compare()).await;
        done.map_err(|e| Error::system(e.to_string()))?
    }

    async fn examine_all(&self) -> Result<Vec<Examined>> {
        match self.seat.route(false).await {
            Route::Local => self.seat.examine_networks().await,
            Route::Remote(duplex) => {
                read(&shoal_api_http::ask(duplex, Method::GET, "/swarm/doctor", NOTHING).await?)
            }
            Route::Refuse(error) => Err(error),
        }
    }

    async fn prune(&self, filters: Filters) -> Result<NetworkPruneReport> {
        let mut report = self.engine.prune(filters.clone()).await?;
        if !self.is_member().await || filters.contains("until") || filters.contains("label!") {
            return Ok(report);
        }
        let mut unused = filters;
        unused.add("dangling", "true");
        let found = tokio::time::timeout(LIST_PATIENCE, self.of_cluster(&unused)).await;
        let mut gone = report.networks_deleted.0.take().unwrap_or_default();
        for network in found.ok().and_then(Result::ok).unwrap_or_default() {
            if self.remove_of_cluster(&network.id).await.is_ok() {
                gone.push(network.name);
            }
        }
        if !gone.is_empty() {
            report.networks_deleted = Slice(Some(gone));
        }
        Ok(report)
    }
}
