//! Talking to registries: the OCI distribution protocol and Docker's authentication.

mod config;

pub use config::RegistryConfig;
