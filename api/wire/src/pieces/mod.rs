//! `Images.Read` on both of its ends, for what is large: the messages are those of the other calls, but their bytes are
//! sent from where they lie and read from where they came to. A codec of tonic's copies each piece into a buffer of its
//! own, on either side.
//!
//! ```text
//! Stream<Piece> ──send::answer──▶ DATA: head of a message │ DATA: its bytes ──read::open──▶ Stream<Piece>
//! ```

mod head;
mod read;
mod send;

pub use read::{Pieces, open};
pub use send::{answer, request};

/// The call's path.
pub const PATH: &str = "/shoal.images.v1.Images/Read";
