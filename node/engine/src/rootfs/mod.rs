//! A container's files as clients see them: `cp`, `export`, `diff`, `commit`.
//!
//! What is seen is Docker's view: the root file system with the container's volumes and the files that the engine writes,
//! not its tmpfs, /proc or /dev. Running or not makes no difference to a client.

mod archive;
mod changes;
mod commit;
mod export;
mod pipe;
mod place;
mod views;

pub(crate) use views::Views;

use crate::error::{Error, invalid, not_found, system};
use shoal_node_drivers_archive as driver;

/// A driver's error about a path that a client named.
fn error(error: driver::Error, path: &str, container: &str) -> Error {
    match error {
        driver::Error::NotFound(_) => {
            not_found(format!("Could not find the file {path} in container {container}"))
        }
        driver::Error::NotADirectory => invalid(error.to_string()),
        other => system(other.to_string()),
    }
}
