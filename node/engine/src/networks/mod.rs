//! Networks of this node: the default bridge, `host` and `none`, and bridges that users make.

mod endpoint;
mod held;
mod kernel;
mod open;
mod ports;
mod pull;
mod record;
mod table;
mod verbs;

pub use endpoint::{Endpoint, port_map};
pub use held::parse_mac;
pub use open::{open, settle, tend};
pub use table::NetworkTable;
pub use verbs::Networks;
