//! Networks of this node: the default bridge, `host` and `none`, and bridges that users make.

mod endpoint;
mod open;
mod pull;
mod record;
mod table;
mod verbs;

pub use endpoint::{Endpoint, port_map};
pub use open::{open, settle, tend};
pub use table::NetworkTable;
pub use verbs::Networks;
