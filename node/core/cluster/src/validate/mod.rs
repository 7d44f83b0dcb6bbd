//! What a user may ask for. Pure checks of specs, with Docker's texts; control calls them before it proposes.

mod container;
mod names;
mod network;
mod service;

pub use names::{object_name, service_name};
pub use network::network;
pub use service::{change, service};

/// The request is wrong (400). The text is the whole message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

pub(crate) fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}
