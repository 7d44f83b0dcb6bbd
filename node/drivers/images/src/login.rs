//! Whether a registry takes somebody's credentials.

use shoal_api_types::auth::AuthConfig;

use crate::error::Result;
use crate::images::Images;
use crate::registry;

impl Images {
    /// Checks the credentials with the registry that they name. Keeps nothing: returns the token that the client may
    /// keep in their place, or nothing if the registry gives none.
    pub async fn login(&self, auth: AuthConfig) -> Result<String> {
        registry::login(auth, &self.registries()).await
    }
}
