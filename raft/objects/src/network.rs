//! A cluster network. Allocation of addresses belongs to the networking work; the object keeps what it decides.

use crate::id::NetworkId;
use crate::meta::{Annotations, Meta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    pub annotations: Annotations,
    pub driver: String,
    pub driver_options: BTreeMap<String, String>,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub ipv6: bool,
    /// Docker's `IPAM` member as it came.
    pub ipam: Option<Value>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    pub id: NetworkId,
    pub meta: Meta,
    pub spec: NetworkSpec,
    /// VXLAN network identifier, once allocated.
    pub vni: Option<u32>,
    /// CIDRs in use, once allocated.
    pub subnets: Vec<String>,
}
