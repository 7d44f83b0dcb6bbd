//! Reservations: processor time, memory, and resources that users define.

use super::{Filter, Load, on_nodes};
use serde_json::Value;
use shoal_raft_objects::node::GenericResource;
use shoal_raft_objects::{Node, Task, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};

/// What tasks reserve, and what is reserved of a node.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Claim {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    /// How many of a kind, whether the node has them as a number or by name.
    pub counts: BTreeMap<String, i64>,
    /// `(kind, name)` of those that are asked for by name; counted in `counts` as well.
    pub named: BTreeSet<(String, String)>,
}

impl Claim {
    pub fn of(spec: &TaskSpec) -> Self {
        let Some(reserved) = spec.resources.as_ref().and_then(|r| r.reservations.as_ref()) else {
            return Self::default();
        };
        let mut claim = Self {
            nano_cpus: reserved.nano_cpus.max(0),
            memory_bytes: reserved.memory_bytes.max(0),
            ..Self::default()
        };
        for generic in reserved.generic_resources.iter().filter_map(generic) {
            match generic {
                GenericResource::Discrete { kind, value } => {
                    *claim.counts.entry(kind).or_default() += value.max(0);
                }
                GenericResource::Named { kind, value } => {
                    *claim.counts.entry(kind.clone()).or_default() += 1;
                    claim.named.insert((kind, value));
                }
            }
        }
        claim
    }

    pub fn add(&mut self, other: &Claim) {
        self.nano_cpus = self.nano_cpus.saturating_add(other.nano_cpus);
        self.memory_bytes = self.memory_bytes.saturating_add(other.memory_bytes);
        for (kind, count) in &other.counts {
            *self.counts.entry(kind.clone()).or_default() += count;
        }
        self.named.extend(other.named.iter().cloned());
    }

    fn fits(&self, node: &Node, taken: &Claim) -> bool {
        let has = &node.description;
        let free = |all: i64, taken: i64| all.saturating_sub(taken);
        if self.nano_cpus > 0 && self.nano_cpus > free(has.nano_cpus, taken.nano_cpus)
            || self.memory_bytes > 0 && self.memory_bytes > free(has.memory_bytes, taken.memory_bytes)
        {
            return false;
        }
        let enough = self.counts.iter().all(|(kind, count)| {
            let all = owned(node, kind);
            *count <= free(all, taken.counts.get(kind).copied().unwrap_or(0))
        });
        let by_name = self.named.iter().all(|name| {
            let owned = has.generic.iter().any(|generic| {
                matches!(generic, GenericResource::Named { kind, value } if (kind, value) == (&name.0, &name.1))
            });
            owned && !taken.named.contains(name)
        });
        enough && by_name
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

struct Resources(Claim);

pub fn filter(task: &Task) -> Option<Box<dyn Filter>> {
    let claim = Claim::of(&task.spec);
    if claim.is_nothing() {
        return None;
    }
    Some(Box::new(Resources(claim)))
}

impl Filter for Resources {
    fn admits(&self, node: &Node, load: &Load) -> bool {
        self.0.fits(node, &load.claimed)
    }

    fn explain(&self, nodes: u64) -> String {
        on_nodes("insufficient resources", nodes)
    }
}

fn owned(node: &Node, wanted: &str) -> i64 {
    node.description
        .generic
        .iter()
        .map(|generic| match generic {
            GenericResource::Discrete { kind, value } if kind == wanted => *value,
            GenericResource::Named { kind, .. } if kind == wanted => 1,
            _ => 0,
        })
        .sum()
}

/// Docker's `{"DiscreteResourceSpec":{"Kind","Value"}}` or `{"NamedResourceSpec":{"Kind","Value"}}`.
pub(crate) fn generic(value: &Value) -> Option<GenericResource> {
    if let Some(discrete) = value.get("DiscreteResourceSpec").filter(|v| !v.is_null()) {
        return Some(GenericResource::Discrete {
            kind: discrete.get("Kind")?.as_str()?.to_owned(),
            value: discrete.get("Value")?.as_i64()?,
        });
    }
    let named = value.get("NamedResourceSpec").filter(|v| !v.is_null())?;
    Some(GenericResource::Named {
        kind: named.get("Kind")?.as_str()?.to_owned(),
        value: named.get("Value")?.as_str()?.to_owned(),
    })
}
