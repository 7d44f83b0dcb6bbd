//! The options of `run` and `create`, and the request that they make.

mod args;
mod health;
mod host;
mod ports;
mod request;

pub use args::args;
pub use request::request;
