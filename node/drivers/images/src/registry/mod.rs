//! Talking to registries: the OCI distribution protocol and Docker's authentication.
//!
//! One [`Session`] is one repository seen by one user for one operation. It does not touch the store.

mod auth;
mod body;
mod config;
mod http;
mod login;
mod session;
mod trouble;

pub use config::RegistryConfig;
pub(crate) use login::login;
pub(crate) use session::{Part, Session};
