//! What a container's resolver at 127.0.0.11 answers: the names on its networks from here, everything else from outside.
//!
//! ```text
//!   query ── answer(query, view) ─┬─ Reply: a name, an alias, an address of its networks
//!                                 └─ Forward: the host's name servers, or those of `--dns`
//! ```
//! The codec is our own: there is one question to read and there are three kinds of record to write, on the path of every
//! connection that a container makes. Anything else is passed on as the bytes that it came in.

mod answer;
mod message;
mod zone;

pub use answer::{Answer, View, answer};
pub use message::{Malformed, Query, RCODE_FORMAT, RCODE_REFUSED, RCODE_SERVER_FAILURE, failure};
pub use zone::{Entry, Zone};

/// Where containers find their resolver.
pub const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 11);
/// What a datagram of DNS may hold; what is longer comes over TCP.
pub const MESSAGE_BYTES_MAX: usize = 65_535;
