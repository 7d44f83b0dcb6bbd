//! Networks of this node: the default bridge, `host` and `none`, and bridges that users make.

mod asked;
mod attached;
mod connect;
mod endpoint;
mod held;
mod kernel;
mod make;
mod names;
mod open;
mod overlay;
mod ports;
mod pull;
mod record;
mod sub;
mod table;
mod verbs;

pub use asked::{check as check_endpoint, shown_names as endpoint_names, wishes as endpoint_wishes};
pub use attached::{Attached, Cluster, ClusterNetworks, Found, Placed, Wish, is_shown};
pub use endpoint::{Endpoint, port_map};
pub use held::parse_mac;
pub(crate) use names::HOST_FILE;
pub use names::{split_link, wishes as name_wishes};
pub use open::{open, settle, tend};
pub use overlay::{GATEWAY_BRIDGE, Laid, OverlayNetworks};
pub use table::NetworkTable;
pub use verbs::Networks;
