//! Images that others need from here, and that are needed here from others.

use super::{Exchange, ImagesService, error};
use crate::error::Result;
use shoal_api_types::auth::AuthConfig;
use shoal_node_drivers_images::{Brought, Reference, Sink, Transport};
use std::sync::Arc;

impl ImagesService {
    /// This node's images as others are given them.
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Makes sure that an image is here: as it is, copied from one of the `others`, or pulled from its registry. Images by
    /// id are not looked for elsewhere.
    pub async fn bring(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
        others: Arc<dyn Transport>,
    ) -> Result<()> {
        let reference = match Reference::parse(name) {
            Ok(reference) => reference,
            Err(_) => return self.find(name).map(drop),
        };
        let digits = |id: &str| id.trim_start_matches("sha256:").to_owned();
        let by_id = |id: &str| digits(id).starts_with(&digits(name));
        if self.find(name).is_ok_and(|image| by_id(&image.id)) {
            return Ok(());
        }
        let brought = self.exchange.bring(&reference, auth, others, &Sink::none()).await;
        if brought.map_err(error)? != Brought::WasHere {
            let familiar = reference.or_latest().familiar();
            self.emit("pull", &familiar, &familiar);
        }
        Ok(())
    }
}
