//! Answers to other nodes.

use super::wire;
use crate::executor::TaskRunner;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use shoal_api_wire::images::{
    MeetRequest, MeetResponse, Piece, ReadRequest, ResolveRequest, ResolveResponse,
};
use shoal_node_drivers_images::{Error, Piece as Part};
use shoal_node_manager::host as asked;
use shoal_raft_objects::NodeId;
use std::sync::Arc;
use tonic::Status;

pub struct OfferedImages {
    runner: Arc<TaskRunner>,
}

impl OfferedImages {
    pub fn new(runner: Arc<TaskRunner>) -> Self {
        Self { runner }
    }
}

fn status(error: Error) -> Status {
    let text = error.to_string();
    match error {
        Error::NotFound(_) => Status::not_found(text),
        Error::InvalidReference(_) | Error::InvalidParameter(_) => Status::invalid_argument(text),
        _ => Status::internal(text),
    }
}

#[async_trait]
impl asked::Images for OfferedImages {
    fn knows(&self, node: &NodeId) -> bool {
        self.runner.peers().is_some_and(|peers| peers.knows(node))
    }

    async fn resolve(&self, request: ResolveRequest) -> Result<ResolveResponse, Status> {
        let offer = self.runner.images.exchange().resolve(&request.name).await;
        Ok(ResolveResponse {
            offer: offer.map_err(status)?.map(wire::offer),
        })
    }

    async fn meet(&self, caller: &str, request: MeetRequest) -> Result<MeetResponse, Status> {
        let manifest = wire::digest(&request.manifest).map_err(status)?;
        let blobs = wire::digests(&request.blobs).map_err(status)?;
        let meeting = self.runner.images.exchange().meet(caller, &manifest, &blobs);
        Ok(wire::meeting(meeting))
    }

    async fn read(&self, request: ReadRequest) -> Result<asked::BlobPieces, Status> {
        let ask = wire::ask_from(request).map_err(status)?;
        let mut parts = self.runner.images.exchange().read(ask);
        let pieces = stream::poll_fn(move |cx| parts.poll_recv(cx)).map(|part| match part {
            Ok(Part::Data(data)) => Ok(Piece { data, moved: 0 }),
            Ok(Part::Moved(moved)) => Ok(Piece {
                data: Default::default(),
                moved,
            }),
            Err(error) => Err(status(error)),
        });
        Ok(pieces.boxed())
    }
}
