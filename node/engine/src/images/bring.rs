//! Images that others need from here, and that are needed here from others.

use super::{Exchange, ImagesService, error};
use crate::clock;
use crate::error::Result;
use shoal_api_types::auth::AuthConfig;
use shoal_node_drivers_images::{Brought, Reference, Sink, Transport};
use std::sync::Arc;

impl ImagesService {
    /// This node's images as others are given them.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Makes sure that an image is here for a task of a service: as it is, copied from one of the `others`, or pulled from
    /// its registry.
    pub async fn bring(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
        others: Arc<dyn Transport>,
        service: &str,
    ) -> Result<()> {
        let brought = self.bring_one(name, auth, others).await?;
        if let (Ok(image), false) = (self.find(name), service.is_empty()) {
            let now = clock::now().0 / 1_000_000_000;
            self.keeper.note(service, &image.id, brought, now);
        }
        Ok(())
    }

    /// Whether it had to be brought.
    async fn bring_one(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
        others: Arc<dyn Transport>,
    ) -> Result<bool> {
        let digits = |id: &str| id.trim_start_matches("sha256:").to_owned();
        let by_id = |id: &str| digits(id).starts_with(&digits(name));
        if self.find(name).is_ok_and(|image| by_id(&image.id)) {
            return Ok(false);
        }
        let brought = self.exchange.bring(name, auth, others, &Sink::none()).await;
        let brought = brought.map_err(error)? != Brought::WasHere;
        if brought {
            let said = Reference::parse(name).map(|name| name.or_latest().familiar());
            let familiar = self
                .find(name)
                .map(|image| image.repo_tags.is_empty().then_some(image.id));
            let shown = familiar
                .ok()
                .flatten()
                .or(said.ok())
                .unwrap_or_else(|| name.to_owned());
            self.emit("pull", &shown, &shown);
        }
        Ok(brought)
    }

    /// Ids of images that are here and all names that mean them, of those first that were named last; so many at most.
    pub fn held_names(&self, max: usize) -> Vec<String> {
        self.store.newest_names(max)
    }
}
