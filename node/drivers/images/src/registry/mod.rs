//! Talking to registries: the OCI distribution protocol and Docker's authentication.
//!
//! One [`Session`] is one repository seen by one user for one operation. It does not touch the store.

mod auth;
mod body;
mod certs;
mod config;
mod http;
mod login;
mod proxy;
mod search;
mod session;
mod trouble;
mod upload;
mod ways;
mod web;

pub use config::RegistryConfig;
pub(crate) use login::login;
pub use proxy::Proxies;
pub use search::Hit;
pub(crate) use search::search;
pub(crate) use session::{Access, Part, Session};
pub(crate) use upload::Mounted;
pub(crate) use ways::Ways;
pub use web::Remote;

#[cfg(test)]
pub(crate) use auth::try_challenge;
