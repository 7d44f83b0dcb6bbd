//! Looking for images in a registry.

use shoal_api_types::auth::AuthConfig;

use crate::error::Result;
use crate::images::Images;
use crate::registry::{self, Hit};

impl Images {
    /// Asks Docker Hub, or the registry that the term begins with.
    pub async fn search(&self, term: &str, limit: usize, auth: Option<AuthConfig>) -> Result<Vec<Hit>> {
        registry::search(term, limit, auth, &self.registries()).await
    }
}
