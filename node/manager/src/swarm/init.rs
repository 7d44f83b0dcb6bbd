//! `docker swarm init`: a cluster of one.

use super::Swarm;
use super::member::Member;
use super::place::{self, Door, Running, blocking};
use crate::SwarmError;
use crate::address;
use crate::control::convert::cluster::spec_from;
use crate::control::convert::node::availability_from;
use crate::error;
use crate::ids::{Ids, now};
use crate::state_file::Saved;
use shoal_api_backend::{Error, Result};
use shoal_api_types::swarm::InitRequest;
use shoal_node_core_cluster::allocator::networks;
use shoal_node_drivers_certs::{Credentials, Files, Identity, Issued, Request, Root, Token};
use shoal_raft_consensus::{FIRST, State};
use shoal_raft_objects::network::OVERLAY;
use shoal_raft_objects::node::{ManagerStatus, NodeStatus};
use shoal_raft_objects::{
    Annotations, CaState, Cluster, ClusterId, ClusterSpec, JoinTokens, Network, NetworkId, NetworkSpec, Node,
    NodeId, NodeSpec, NodeState, Proposal, Role, RootCa, Write,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Docker's, for networks that a user does not give a subnet.
const ADDRESS_POOL: &str = "10.0.0.0/8";
const SUBNET_SIZE: u32 = 24;
const DATA_PATH_PORT: u32 = 4789;

impl Swarm {
    pub(super) async fn start_cluster(&self, request: InitRequest) -> Result<String> {
        let _alone = self.inner.changing.lock().await;
        self.check_free()?;
        if request.force_new_cluster {
            return Err(Error::not_implemented("forcing a new cluster"));
        }
        if request.auto_lock_managers {
            return Err(Error::not_implemented("locking managers"));
        }
        let listen = address::listen(&request.listen_addr)?;
        let advertise = address::advertise(&request.advertise_addr, listen, None)?;
        let data_path = address::data_path(&request.data_path_addr)?;
        let pool = pool(&request)?;
        let node_spec = NodeSpec {
            role: Role::Manager,
            availability: availability_from(&request.availability)?,
            ..Default::default()
        };
        let spec = spec_from(&request.spec, &ClusterSpec::default())?;
        let listener = Door::listen(&listen.to_string()).await?;
        let founding = Founding::new(spec, pool, request.data_path_port)?;
        let saved = Saved {
            listen_addr: listen.to_string(),
            advertise_addr: advertise.to_string(),
            data_path_addr: data_path,
            raft_id: Some(FIRST),
            managers: Vec::new(),
            removed: None,
        };
        let node = founding.identity.node.clone();
        match self.found(founding, node_spec, saved, listener).await {
            Ok(member) => {
                *self.inner.place.write() = Some(member);
                Ok(node.to_string())
            }
            Err(error) => {
                // Nothing of a cluster that did not come to be is left behind.
                self.forget_files().await;
                Err(error.into())
            }
        }
    }

    async fn found(
        &self,
        founding: Founding,
        node_spec: NodeSpec,
        saved: Saved,
        listener: tokio::net::TcpListener,
    ) -> std::result::Result<Arc<Member>, SwarmError> {
        let parts = &self.inner;
        let home = parts.home.clone();
        blocking(move || home.clear()).await?;
        let files = Files::new(parts.home.certificates());
        let credentials = Credentials::new(&founding.issued)?;
        let member = Member::new(parts, credentials, files.clone(), saved);
        let door = Door::open(listener, &member, parts, Role::Manager);
        let issued = founding.issued.clone();
        let home = parts.home.clone();
        let certificates = blocking(move || -> std::result::Result<(), SwarmError> {
            home.create().map_err(|source| SwarmError::File {
                path: home.certificates(),
                source,
            })?;
            Ok(files.save(&issued)?)
        });
        let (certificates, consensus, description) = tokio::join!(
            certificates,
            place::consensus(&member, parts, FIRST),
            parts.agents.describe()
        );
        let (consensus, ()) = match (consensus, certificates) {
            (Ok(consensus), Ok(done)) => (consensus, done),
            (Err(error), _) | (Ok(_), Err(error)) => {
                door.close().await;
                return Err(error);
            }
        };
        let addr = member.saved().advertise_addr;
        let node = Node {
            id: founding.identity.node.clone(),
            spec: node_spec,
            role: Role::Manager,
            description,
            // It is here: whoever lists the nodes next shall see that.
            status: NodeStatus {
                state: NodeState::Ready,
                addr: addr
                    .rsplit_once(':')
                    .map_or(addr.as_str(), |(ip, _)| ip)
                    .to_owned(),
                since: now(),
                ..Default::default()
            },
            manager: Some(ManagerStatus { raft_id: FIRST, addr }),
            certificate_serial: founding.identity.serial.clone(),
            ..Default::default()
        };
        let mut proposal = Proposal {
            at: now(),
            writes: vec![Write::Create(founding.cluster.into()), Write::Create(node.into())],
        };
        // A pool with no room for it leaves the cluster without: publishing says so then.
        match ingress(&proposal) {
            Ok(network) => proposal.writes.push(Write::Create(network.into())),
            Err(error) => tracing::warn!(%error, "the swarm has no ingress network"),
        }
        consensus.bootstrap().await?;
        consensus
            .propose(&proposal)
            .await
            .map_err(|e| SwarmError::Refused(error::propose(&e)))?;
        // The place counts from here on.
        member.save(|_| {}).await?;
        member.manages(Running::start(&member, door, consensus, parts));
        member.start_agent(parts, Vec::new()).await?;
        member.follow();
        Ok(member)
    }

    /// After a place that did not come to be.
    pub(super) async fn forget_files(&self) {
        let home = self.inner.home.clone();
        if let Err(error) = blocking(move || home.clear()).await {
            tracing::error!(%error, "cannot remove the files of a swarm that was given up");
        }
    }
}

/// A new cluster's secrets and its first node's certificate.
struct Founding {
    cluster: Cluster,
    issued: Issued,
    identity: Identity,
}

impl Founding {
    fn new(spec: ClusterSpec, (pool, subnet_size): (Vec<String>, u32), data_path_port: u32) -> Result<Self> {
        let failed = |e: shoal_node_drivers_certs::Error| Error::system(e.to_string());
        let now = SystemTime::now();
        let root = Root::create(now).map_err(failed)?;
        let digest = Root::digest(root.cert_pem()).map_err(failed)?;
        let cluster = Cluster {
            id: ClusterId::draw(&mut Ids),
            ca: CaState {
                root: RootCa {
                    cert_pem: root.cert_pem().to_owned(),
                    key_pem: root.key_pem().to_owned(),
                    digest: Root::digest_text(root.cert_pem()).map_err(failed)?,
                },
                ..Default::default()
            },
            tokens: JoinTokens {
                worker: Token::generate(&digest).text(),
                manager: Token::generate(&digest).text(),
            },
            default_addr_pool: pool,
            subnet_size,
            data_path_port: if data_path_port == 0 {
                DATA_PATH_PORT
            } else {
                data_path_port
            },
            spec,
            ..Default::default()
        };
        let request = Request::new().map_err(failed)?;
        let validity = Duration::from_nanos(u64::try_from(cluster.spec.node_cert_expiry).unwrap_or(0));
        let node = NodeId::draw(&mut Ids);
        let certificate_pem = root
            .sign(&request.csr_pem, &node, &cluster.id, Role::Manager, now, validity)
            .map_err(failed)?;
        let identity = Identity::from_pem(&certificate_pem).map_err(failed)?;
        Ok(Self {
            issued: Issued {
                certificate_pem,
                key_pem: request.key_pem,
                root_pem: root.cert_pem().to_owned(),
            },
            cluster,
            identity,
        })
    }
}

/// The network on which every node answers for published ports, as Docker makes it, but beside the networks that this
/// host is in: it is routed on every node.
fn ingress(founding: &Proposal) -> std::result::Result<Network, networks::Error> {
    let mut state = State::default();
    state.apply(1, founding);
    let spec = NetworkSpec {
        annotations: Annotations {
            name: networks::INGRESS.into(),
            ..Default::default()
        },
        driver: OVERLAY.into(),
        ingress: true,
        // Clients of published ports come by either family.
        ipv6: true,
        ..Default::default()
    };
    networks::network(
        &state,
        NetworkId::draw(&mut Ids),
        spec,
        &[],
        &address::own_networks(),
    )
}

fn pool(request: &InitRequest) -> Result<(Vec<String>, u32)> {
    let mut pool = Vec::new();
    for text in request.default_addr_pool.iter() {
        let net: ipnet::Ipv4Net = text
            .parse()
            .map_err(|_| Error::invalid(format!("invalid CIDR address: {text}")))?;
        pool.push(net.to_string());
    }
    let size = if request.subnet_size == 0 {
        SUBNET_SIZE
    } else {
        request.subnet_size
    };
    if size > 29 {
        return Err(Error::invalid("subnet size is out of range"));
    }
    if pool.is_empty() {
        pool.push(ADDRESS_POOL.to_owned());
    }
    Ok((pool, size))
}
