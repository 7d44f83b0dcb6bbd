//! The cluster's certificate authority at work: who may have which certificate.

use crate::error;
use crate::ids::{Ids, now};
use crate::ledger::{Ledger, WriteError};
use shoal_api_backend::{Class, Error, Result};
use shoal_node_drivers_certs::{Identity, LEAF_VALIDITY_MIN, Root, Token};
use shoal_raft_objects::node::NodeStatus;
use shoal_raft_objects::{
    Availability, Cluster, Membership, Node, NodeDescription, NodeId, NodeSpec, NodeState, Refusal, Role,
    Write,
};
use std::time::{Duration, SystemTime};

/// A certificate that was made, and what its holder must know.
pub(crate) struct Granted {
    pub certificate_pem: String,
    pub root_pem: String,
    pub node: NodeId,
    pub role: Role,
    pub cluster: Cluster,
}

/// How long a refused certificate stays listed after it has expired, for clocks that are behind.
const REVOKED_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Gives a newcomer that shows a valid token a certificate, and the cluster its node. On the leader.
pub(crate) async fn admit(
    ledger: &Ledger,
    csr_pem: &str,
    token: &str,
    availability: Availability,
    description: NodeDescription,
    addr: String,
) -> Result<Granted> {
    let state = ledger.current().await?;
    let cluster = state
        .cluster()
        .ok_or_else(|| Error::unavailable("the swarm is not ready yet"))?;
    let role = role_of(cluster, token)
        .ok_or_else(|| error::rpc(Class::InvalidParameter, "InvalidArgument", error::BAD_TOKEN))?;
    let node = NodeId::draw(&mut Ids);
    let (certificate_pem, serial) = sign(cluster, csr_pem, &node, role)?;
    let object = Node {
        id: node.clone(),
        spec: NodeSpec {
            role,
            availability,
            ..Default::default()
        },
        role,
        membership: Membership::Accepted,
        description,
        status: NodeStatus {
            state: NodeState::Unknown,
            addr,
            since: now(),
            ..Default::default()
        },
        certificate_serial: serial,
        ..Default::default()
    };
    ledger.write(vec![Write::Create(object.into())]).await?;
    Ok(Granted {
        certificate_pem,
        root_pem: cluster.ca.root.cert_pem.clone(),
        node,
        role,
        cluster: Cluster::clone(cluster),
    })
}

/// Gives a node a new certificate in the role that it has now; none to one that is not part of the cluster. On the
/// leader.
pub(crate) async fn renew(ledger: &Ledger, csr_pem: &str, node: &NodeId) -> Result<Option<Granted>> {
    loop {
        let state = ledger.current().await?;
        let cluster = state
            .cluster()
            .ok_or_else(|| Error::unavailable("the swarm is not ready yet"))?;
        let Some(known) = state.node(node) else {
            return Ok(None);
        };
        let (certificate_pem, serial) = sign(cluster, csr_pem, node, known.role)?;
        let mut changed = Node::clone(known);
        let touched = changed.meta.touched;
        changed.certificate_serial = serial;
        let write = Write::Update {
            object: changed.into(),
            touched,
        };
        match ledger.write(vec![write]).await {
            Ok(_) => {
                return Ok(Some(Granted {
                    certificate_pem,
                    root_pem: cluster.ca.root.cert_pem.clone(),
                    node: node.clone(),
                    role: known.role,
                    cluster: Cluster::clone(cluster),
                }));
            }
            // Its description changed meanwhile.
            Err(WriteError::Refused(Refusal::Stale { .. })) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

/// `cluster` with the node's certificate refused from now on, and those forgotten that have expired long ago.
pub(crate) fn revoke(cluster: &Cluster, node: &Node) -> Cluster {
    refuse(cluster, &node.certificate_serial)
}

/// `cluster` with every certificate that the node ever had refused from now on: it may hold one from before its last
/// renewal. For a node that is removed; its id is never given again.
pub(crate) fn banish(cluster: &Cluster, node: &NodeId) -> Cluster {
    refuse(cluster, node.as_str())
}

fn refuse(cluster: &Cluster, what: &str) -> Cluster {
    let mut cluster = cluster.clone();
    let now = now();
    cluster.revoked.retain(|(_, until)| *until > now);
    if !what.is_empty() {
        let validity = Duration::from_nanos(u64::try_from(cluster.spec.node_cert_expiry).unwrap_or(0));
        let until = now.after(validity + REVOKED_MARGIN);
        cluster.revoked.push((what.to_owned(), until));
    }
    cluster
}

/// Whether `cluster` refuses this certificate, or all of its node's.
pub(crate) fn is_refused(cluster: &Cluster, identity: &Identity) -> bool {
    let mut refused = cluster.revoked.iter();
    refused.any(|(what, _)| *what == identity.serial || what == identity.node.as_str())
}

fn sign(cluster: &Cluster, csr_pem: &str, node: &NodeId, role: Role) -> Result<(String, String)> {
    let root = Root::load(&cluster.ca.root.cert_pem, &cluster.ca.root.key_pem);
    let validity = Duration::from_nanos(u64::try_from(cluster.spec.node_cert_expiry).unwrap_or(0))
        .max(LEAF_VALIDITY_MIN);
    let pem = root
        .sign(csr_pem, node, &cluster.id, role, SystemTime::now(), validity)
        .map_err(|e| match e {
            shoal_node_drivers_certs::Error::Request(_) => {
                error::rpc(Class::InvalidParameter, "InvalidArgument", e)
            }
            e => Error::system(e.to_string()),
        })?;
    let serial = Identity::from_pem(&pem)
        .map_err(|e| Error::system(e.to_string()))?
        .serial;
    Ok((pem, serial))
}

fn role_of(cluster: &Cluster, given: &str) -> Option<Role> {
    let known = Token::parse(given).ok()?.text();
    // Both are always compared, and in full, so that time tells nothing.
    let manager = same(&known, &cluster.tokens.manager);
    let worker = same(&known, &cluster.tokens.worker);
    match (manager, worker) {
        (true, _) => Some(Role::Manager),
        (false, true) => Some(Role::Worker),
        _ => None,
    }
}

fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
}
