//! Named volumes of the `local` driver: a directory each, with its labels and options beside it.
//!
//! ```text
//! <data root>/volumes/<name>/volume.json   labels, options, when it was made
//!                            _data/        what containers see
//! ```
//!
//! A volume is there whole or not at all, also after a power cut. A volume whose options
//! describe a file system is mounted when it is told to. This crate never counts who uses a volume and never looks inside
//! one but to fill it from an image. Everything blocks.
//!
//! Called by `node/engine`.

mod copy_up;
mod error;
mod mounting;
mod name;
mod options;
mod volumes;

pub use error::{Error, Result};
pub use options::size;
pub use volumes::{Quota, Volume, Volumes};
