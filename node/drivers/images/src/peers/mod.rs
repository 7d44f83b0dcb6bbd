//! Images between the nodes of a cluster.
//!
//! ```text
//! bring ── here? ─ no ─▶ Transport.resolve ─▶ some node has the image ──▶ copy (take: blob by blob)
//!                                         └─▶ nobody has: pull from the registry in [`Company`]: of the nodes that pull
//!                                             the same, one fetches each blob, the others take it from there, while it comes
//! serve ◀─ Transport of others: resolve, meet, read
//! ```
//! What another node says is believed no more than what a registry says: every digest, size and DiffID is checked. Where
//! to take what from is decided by `core/host::imagesource`. How nodes reach each other is the [`Transport`]'s business.

mod bring;
mod company;
mod copy;
mod exchange;
mod offer;
mod serve;
mod take;
mod transport;

pub use bring::Brought;
pub(crate) use company::{Company, Turn};
pub use exchange::Exchange;
pub use offer::Offer;
pub use transport::{Ask, Meeting, Piece, Pieces, Transport};
