//! The user's terminal and pipes, joined to a container's stream.

mod join;
mod raw;

pub use join::{demultiplex, join};
pub use raw::{Raw, hidden_line, is_terminal, size};
