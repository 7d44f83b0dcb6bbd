//! The Docker Engine API over HTTP: parsing, version gates and rendering around `api/backend`; no decisions of its own.
//!
//! ```text
//! listen ─ connection (takeover shim) ─ Router: version, headers, forwarding ─ routes::* ─ api/backend
//! ```
//! [`router`] makes a [`Router`] out of [`Backends`], [`serve`] answers on a [`Listener`], [`serve_duplex`] answers the calls
//! that another node of the cluster passes on. It never touches containers, the disk (but for its own socket) or the
//! cluster. Called by the daemon, and by the manager's forwarding service.

mod attention;
mod authorize;
mod backends;
mod body;
mod connection;
mod filters;
mod forward;
mod gates;
mod gojson;
mod head;
mod hijack;
mod lane;
mod listen;
mod params;
mod reply;
mod router;
mod routes;
mod takeover;
mod unread;
mod websocket;

pub use attention::stay_awake;
pub use backends::Backends;
pub use connection::{Limits, Peer, serve_duplex};
pub use forward::ask;
pub use listen::{BindError, Listener, Serving, TlsFiles, plain_tcp_is_safe, serve};
pub use router::{Router, router};
