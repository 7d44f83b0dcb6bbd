//! The network of this host's containers: namespaces, bridges, cables, packet rules, reserved ports, and the resolver that
//! each container finds at 127.0.0.11.
//!
//! ```text
//!   host ── eth0                      nft table `shoal-<sid>`: masquerade, published ports, isolation
//!    └── docker0 (bridge) ── sv1a2b… ═══ eth0 │ container's network namespace
//! ```
//!
//! The kernel is spoken to over netlink sockets with encoders of our own (`netlink`): no helper program, no
//! long-lived state of ours. What is there is read back, compared with a plan of `core/host::netplan`, and changed by the
//! difference. Everything made here carries the daemon's short id in its name, and nothing else is ever touched.
//!
//! The engine calls it. It decides nothing: which addresses, ports and rules there are comes from the plan. All calls
//! block for some tens of microseconds; none waits longer than five seconds for the kernel.

pub mod conntrack;
mod error;
mod expression;
pub mod forwarding;
mod links;
mod netlink;
mod netns;
mod nft;
pub mod overlay;
mod passing;
mod ports;
mod resolver;
mod spares;

pub use error::{Error, Result};
pub use links::{Cable, Counters, Inside, LinkWatch, Links, Place, Shown, Sub, SubKind, Until, WayOut};
pub use netns::Netns;
pub use nft::{Nft, USER_TABLE, Watch, ensure_user_chains, table_name};
pub use ports::{HostPort, PortGuard, Ports, has_v6};
pub use resolver::{Names, Resolver, Resolvers};
pub use spares::Spares;
