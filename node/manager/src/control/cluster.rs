//! `/swarm`: settings and join tokens.

use super::Control;
use super::convert::cluster::{info, spec_from};
use crate::error;
use shoal_api_backend::{Class, Error, Result, UpdateSwarm};
use shoal_api_types::swarm as api;
use shoal_node_drivers_certs::{Root, Token};
use shoal_raft_objects::{Cluster, Refusal, Write};

impl Control {
    pub async fn inspect(&self) -> Result<api::Cluster> {
        let state = self.manager.ledger.current().await?;
        let cluster = state.cluster().ok_or_else(missing)?;
        Ok(api::Cluster {
            info: info(cluster),
            join_tokens: api::JoinTokens {
                worker: cluster.tokens.worker.clone(),
                manager: cluster.tokens.manager.clone(),
            },
        })
    }

    pub async fn update(&self, options: UpdateSwarm, spec: api::Spec) -> Result<()> {
        if options.rotate_manager_unlock_key {
            return Err(Error::not_implemented("locking managers"));
        }
        let state = self.manager.ledger.current().await?;
        let cluster = state.cluster().ok_or_else(missing)?;
        if cluster.meta.version != options.version {
            return Err(error::refusal(&Refusal::OutOfSequence {
                kind: shoal_raft_objects::Kind::Cluster,
                id: cluster.id.to_string(),
            }));
        }
        let mut changed = Cluster::clone(cluster);
        changed.spec = spec_from(&spec, &cluster.spec)?;
        let digest = Root::digest(&cluster.ca.root.cert_pem).map_err(|e| Error::system(e.to_string()))?;
        if options.rotate_worker_token {
            changed.tokens.worker = Token::generate(&digest).text();
        }
        if options.rotate_manager_token {
            changed.tokens.manager = Token::generate(&digest).text();
        }
        // Tokens are no part of the spec, so the whole object is written; the version was compared above, and `touched`
        // sees to it that nothing came between.
        let write = Write::Update {
            object: changed.into(),
            touched: cluster.meta.touched,
        };
        self.manager.ledger.write(vec![write]).await?;
        Ok(())
    }
}

fn missing() -> Error {
    error::rpc(Class::NotFound, "NotFound", "no cluster found")
}
