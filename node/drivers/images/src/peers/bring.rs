//! An image for a task: from here, from another node, or from its registry.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use shoal_api_types::auth::AuthConfig;
use shoal_node_core_host::imagesource::{Held, Here, Source, asks, ranked, sources};
use tokio::time::timeout;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::peers::copy::{check_asked, copy};
use crate::peers::offer::{Asked, Named};
use crate::peers::{Company, Exchange, Offer, Transport};
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;

/// Another node has so long to say what it has.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The same where this node has a copy that would do.
const PATIENCE_WITH_COPY: Duration = Duration::from_millis(500);

/// Where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    WasHere,
    Copied,
    Pulled,
}

impl Images {
    /// The same store, pulling in company.
    pub(super) fn among(&self, company: Company) -> Images {
        let mut images = self.clone();
        images.company = Some(Arc::new(company));
        images
    }
}

impl Exchange {
    /// Makes sure that the image `name` is here. Durable when it returns; dropping the future stops it and leaves nothing
    /// behind. What may be an id is first asked for as one; what is an id for certain comes from other nodes or not at all.
    pub async fn bring(
        self: &Arc<Self>,
        name: &str,
        auth: Option<AuthConfig>,
        transport: Arc<dyn Transport>,
        sink: &Sink,
    ) -> Result<Brought> {
        if let Some(asked) = Asked::by_id(name) {
            match self.bring_id(&asked, &transport, sink).await {
                Err(Error::NotFound(_)) if !name.starts_with("sha256:") && name.len() < 64 => {}
                done => return done,
            }
        }
        self.bring_name(&Reference::parse(name)?, auth, transport, sink)
            .await
    }

    /// An image by its id has no registry: this node or another one has it.
    async fn bring_id(
        self: &Arc<Self>,
        asked: &Asked,
        transport: &Arc<dyn Transport>,
        sink: &Sink,
    ) -> Result<Brought> {
        let _turn = self
            .searches
            .lock(&Digest::of(asked.to_string().as_bytes()))
            .await;
        if self.images.get(&asked.to_string()).is_ok() {
            return Ok(Brought::WasHere);
        }
        let offers = self.offers(asked, transport.as_ref(), false).await;
        let Some((_, offer)) = offers.first() else {
            return Err(Error::no_such_image(asked));
        };
        if offers.iter().any(|(_, other)| other.image_id != offer.image_id) {
            let text = format!("ambiguous image id {asked}: the nodes have several that begin so");
            return Err(Error::InvalidParameter(text));
        }
        let key = format!("{} {}", offer.image_id, transport.me());
        let nodes = ranked(&key, offers.iter().map(|(node, _)| node.as_str()));
        let nodes = nodes.into_iter().map(str::to_owned).collect();
        copy(&self.images, transport, asked, offer, nodes, sink).await?;
        Ok(Brought::Copied)
    }

    async fn bring_name(
        self: &Arc<Self>,
        name: &Reference,
        auth: Option<AuthConfig>,
        transport: Arc<dyn Transport>,
        sink: &Sink,
    ) -> Result<Brought> {
        let name = match name.digest() {
            // A tag beside a digest says nothing more.
            Some(digest) => name.with_digest(digest.clone()),
            None => name.clone().or_latest(),
        };
        // Tasks that start together search once.
        let _turn = self.searches.lock(&Digest::of(name.to_string().as_bytes())).await;
        let named = Named::find(&self.images.store.state.lock(), &name);
        let here = named.as_ref().map(|named| Here {
            image: named.image.as_str(),
            named_at: named.named_at,
            copied: named.copied,
        });
        if !asks(here) {
            return Ok(Brought::WasHere);
        }
        let asked = Asked::Name(name.clone());
        let offers = self.offers(&asked, transport.as_ref(), here.is_some()).await;
        let held: Vec<Held> = offers
            .iter()
            .map(|(node, offer)| Held {
                node,
                image: offer.image_id.as_str(),
                named_at: offer.named_at,
            })
            .collect();
        let mut last = Error::no_such_image(name.familiar());
        for source in sources(&transport.me(), here, &held) {
            match source {
                Source::Here => return Ok(Brought::WasHere),
                Source::Nodes(image, nodes) => {
                    let offered = |(_, offer): &&(String, Offer)| offer.image_id.as_str() == image;
                    let Some((_, offer)) = offers.iter().find(offered) else {
                        continue;
                    };
                    let nodes = nodes.into_iter().map(str::to_owned).collect();
                    match copy(&self.images, &transport, &asked, offer, nodes, sink).await {
                        Ok(()) => return Ok(Brought::Copied),
                        Err(error @ Error::Storage { .. }) => return Err(error),
                        Err(error) => {
                            let name = name.familiar();
                            tracing::warn!(name, %error, "an image cannot be copied from other nodes");
                            last = error;
                        }
                    }
                }
                Source::Registry => {
                    let company = Company::new(self.clone(), transport.clone());
                    let images = self.images.among(company);
                    match images.pull(&name, None, auth.clone(), sink).await {
                        Ok(()) => return Ok(Brought::Pulled),
                        Err(error) => last = error,
                    }
                }
            }
        }
        Err(last)
    }

    /// What the other nodes have of what is asked for that runs on this one.
    async fn offers(&self, asked: &Asked, transport: &dyn Transport, has_copy: bool) -> Vec<(String, Offer)> {
        let patience = match has_copy {
            true => PATIENCE_WITH_COPY,
            false => PATIENCE,
        };
        let (others, text) = (transport.others(), &asked.to_string());
        let answers = others.iter().map(|node| async move {
            match timeout(patience, transport.resolve(node, text)).await {
                Ok(Ok(offer)) => offer.map(|offer| (node.clone(), offer)),
                Ok(Err(error)) => {
                    tracing::debug!(%node, %error, "a node does not say what it has");
                    None
                }
                Err(_) => {
                    transport.shun(node);
                    None
                }
            }
        });
        let host = Platform::host();
        let runs = |platform: &Platform| platform.architecture.is_empty() || host.accepts(platform);
        let found = join_all(answers).await.into_iter().flatten();
        found
            .filter(|(_, offer)| runs(&offer.platform) && check_asked(asked, offer).is_ok())
            .collect()
    }
}
