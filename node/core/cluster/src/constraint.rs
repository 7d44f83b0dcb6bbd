//! Placement constraints: `node.labels.zone == east`, `node.role != manager`, as Docker writes them.

use ipnet::IpNet;
use shoal_raft_objects::node::Role;
use shoal_raft_objects::{Node, TaskSpec};
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraint {
    key: String,
    equal: bool,
    value: String,
}

/// Texts are Docker's.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("constraint expected one operator from ==, !=")]
    Operator,
    #[error("key '{0}' is invalid")]
    Key(String),
    #[error("value '{0}' is invalid")]
    Value(String),
}

/// All of a spec's constraints; the first that is not understood is the error.
pub fn parse_all(constraints: &[String]) -> Result<Vec<Constraint>, Error> {
    constraints.iter().map(|text| parse(text)).collect()
}

pub fn parse(text: &str) -> Result<Constraint, Error> {
    // "==" may not hide behind the '=' of "!=", so the operator that comes first counts.
    let equal = text.find("==");
    let unequal = text.find("!=");
    let (at, equal) = match (equal, unequal) {
        (Some(e), Some(u)) if u < e => (u, false),
        (Some(e), _) => (e, true),
        (None, Some(u)) => (u, false),
        (None, None) => return Err(Error::Operator),
    };
    let (key, value) = (text[..at].trim(), text[at + 2..].trim());
    if !is_key(key) {
        return Err(Error::Key(key.into()));
    }
    if !is_value(value) {
        return Err(Error::Value(value.into()));
    }
    Ok(Constraint {
        key: key.into(),
        equal,
        value: value.into(),
    })
}

/// Whether the node satisfies every constraint of the task. A constraint that is not understood is satisfied by no
/// node: specs are checked when they come in, so it can only be one of a later version.
pub fn satisfies(node: &Node, spec: &TaskSpec) -> bool {
    let constraints = spec.placement.as_ref().map_or(&[][..], |p| &p.constraints[..]);
    parse_all(constraints).is_ok_and(|all| all.iter().all(|c| c.matches(node)))
}

impl Constraint {
    pub fn matches(&self, node: &Node) -> bool {
        let description = &node.description;
        let key = self.key.to_ascii_lowercase();
        match key.as_str() {
            "node.id" => self.holds(node.id.as_str()),
            "node.hostname" => self.holds(&description.hostname),
            "node.ip" => self.holds_address(&node.status.addr),
            "node.role" => self.holds(match node.role {
                Role::Worker => "worker",
                Role::Manager => "manager",
            }),
            "node.platform.os" => self.holds(&description.os),
            "node.platform.arch" => self.holds(&description.architecture),
            _ if key.starts_with("node.labels.") => {
                self.holds_label(&node.spec.labels, &self.key["node.labels.".len()..])
            }
            _ if key.starts_with("engine.labels.") => {
                self.holds_label(&description.engine_labels, &self.key["engine.labels.".len()..])
            }
            // As in Docker: a key that means nothing is satisfied by nobody.
            _ => false,
        }
    }

    fn holds(&self, actual: &str) -> bool {
        actual.eq_ignore_ascii_case(&self.value) == self.equal
    }

    /// A missing label is an empty one.
    fn holds_label(&self, labels: &BTreeMap<String, String>, label: &str) -> bool {
        self.holds(labels.get(label).map_or("", |value| value))
    }

    fn holds_address(&self, actual: &str) -> bool {
        let Ok(actual) = host(actual).parse::<IpAddr>() else {
            return false;
        };
        let inside = match (self.value.parse::<IpAddr>(), self.value.parse::<IpNet>()) {
            (Ok(address), _) => address == actual,
            (_, Ok(net)) => net.contains(&actual),
            _ => return false,
        };
        inside == self.equal
    }
}

/// The address without a port, if it has one.
fn host(addr: &str) -> &str {
    if addr.parse::<IpAddr>().is_ok() {
        return addr;
    }
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// SwarmKit's `^(?i)[a-z_][a-z0-9\-_.]+$`.
fn is_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && key.len() > 1
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// SwarmKit's `^(?i)[a-z0-9:\-_\s\.\*\(\)\?\+\[\]\\\^\$\|\/]+$`.
fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|b| {
            b.is_ascii_alphanumeric() || b.is_ascii_whitespace() || b":-_.*()?+[]\\^$|/".contains(&b)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let mut node = Node {
            id: "N1".into(),
            ..Default::default()
        };
        node.description.hostname = "alpha".into();
        node.description.os = "linux".into();
        node.description.architecture = "x86_64".into();
        node.description.engine_labels.insert("disk".into(), "ssd".into());
        node.spec.labels.insert("Zone".into(), "East".into());
        node.status.addr = "10.0.0.7:41000".into();
        node
    }

    #[test]
    fn each_key_is_compared_without_regard_to_case() {
        let table = "
            node.id==n1                    yes
            node.id != n1                  no
            node.hostname == ALPHA         yes
            node.role==worker              yes
            node.role!=manager             yes
            node.role == manager           no
            node.platform.os == linux      yes
            node.platform.arch==x86_64     yes
            node.labels.Zone == east       yes
            node.labels.zone == east       no
            node.labels.Zone != east       no
            node.labels.none != east       yes
            node.labels.none == east       no
            engine.labels.disk==ssd        yes
            node.ip == 10.0.0.7            yes
            node.ip == 10.0.0.0/24         yes
            node.ip != 10.0.0.0/24         no
            node.ip == 10.1.0.0/24         no
            node.ip == elsewhere           no
            node.colour == red             no
        ";
        for line in table.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let (text, expected) = line.rsplit_once(' ').unwrap();
            let got = parse(text.trim()).unwrap().matches(&node());
            assert_eq!(got, expected == "yes", "{line}");
        }
    }

    #[test]
    fn malformed_constraints_are_refused_in_dockers_words() {
        let table = [
            (
                "node.role=manager",
                "constraint expected one operator from ==, !=",
            ),
            ("", "constraint expected one operator from ==, !="),
            ("1node==a", "key '1node' is invalid"),
            ("node.role==", "value '' is invalid"),
            ("node.role==a&b", "value 'a&b' is invalid"),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert!(!parse("node.labels.a!=b==c").is_ok_and(|c| c.equal));
    }
}
