//! Questions to other nodes.

use super::wire;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use shoal_api_wire::images::{MeetRequest, ReadRequest, ResolveRequest};
use shoal_api_wire::pieces;
use shoal_node_agent::Peers;
use shoal_node_drivers_images::{Ask, Digest, Error, Meeting, Offer, Piece, Pieces, Result, Transport};
use shoal_raft_objects::NodeId;
use tonic::{Code, Status};

/// The other nodes of the cluster; nobody outside of one.
pub struct Neighbours {
    peers: Option<Peers>,
}

impl Neighbours {
    pub fn new(peers: Option<Peers>) -> Self {
        Self { peers }
    }

    fn peers(&self) -> Result<&Peers> {
        let nobody = || Error::Unreachable("this node is in no swarm".into());
        self.peers.as_ref().ok_or_else(nobody)
    }

    fn heard<T>(&self, node: &NodeId, answer: std::result::Result<T, Status>) -> Result<T> {
        answer.map_err(|status| {
            if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) {
                self.shun(node.as_str());
            }
            error(node.as_str(), &status)
        })
    }
}

fn error(node: &str, status: &Status) -> Error {
    let text = format!("node {node}: {}", status.message());
    match status.code() {
        Code::NotFound => Error::NotFound(text),
        Code::PermissionDenied | Code::Unauthenticated => Error::Unauthorized(text),
        _ => Error::Unreachable(text),
    }
}

impl Transport for Neighbours {
    fn me(&self) -> String {
        let me = self.peers.as_ref().map(Peers::me);
        me.unwrap_or_default().to_string()
    }

    fn others(&self) -> Vec<String> {
        let others = self.peers.as_ref().map(Peers::others).unwrap_or_default();
        others.into_iter().map(|node| node.to_string()).collect()
    }

    fn resolve<'a>(&'a self, node: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Offer>>> {
        async move {
            let node = NodeId::from(node);
            let request = ResolveRequest {
                name: name.to_owned(),
            };
            let mut client = self.heard(&node, self.peers()?.images(&node))?;
            let answer = self.heard(&node, client.resolve(request).await)?;
            answer.into_inner().offer.map(wire::offer_from).transpose()
        }
        .boxed()
    }

    fn meet<'a>(
        &'a self,
        node: &'a str,
        manifest: &'a Digest,
        blobs: &'a [Digest],
    ) -> BoxFuture<'a, Result<Meeting>> {
        async move {
            let node = NodeId::from(node);
            let request = MeetRequest {
                manifest: manifest.to_string(),
                blobs: blobs.iter().map(Digest::to_string).collect(),
            };
            let mut client = self.heard(&node, self.peers()?.images(&node))?;
            let answer = self.heard(&node, client.meet(request).await)?;
            wire::meeting_from(answer.into_inner())
        }
        .boxed()
    }

    fn read<'a>(&'a self, node: &'a str, ask: Ask) -> BoxFuture<'a, Result<Pieces>> {
        async move {
            let name = node.to_owned();
            let node = NodeId::from(node);
            let request = ReadRequest {
                digest: ask.digest.to_string(),
                offset: ask.offset,
                manifest: ask.manifest.map(|m| m.to_string()).unwrap_or_default(),
            };
            let channel = self.heard(&node, self.peers()?.channel(&node))?;
            let pieces = self.heard(&node, pieces::open(channel, request).await)?;
            let pieces = pieces.map(move |piece| match piece {
                Ok(piece) if piece.data.is_empty() => Ok(Piece::Moved(piece.moved)),
                Ok(piece) => Ok(Piece::Data(piece.data)),
                Err(status) => Err(error(&name, &status)),
            });
            Ok(pieces.boxed())
        }
        .boxed()
    }

    fn shun(&self, node: &str) {
        if let Some(peers) = &self.peers {
            peers.shun(&NodeId::from(node));
        }
    }
}
