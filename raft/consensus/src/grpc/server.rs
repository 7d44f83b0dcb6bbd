//! The answering side.

use crate::machine::Machine;
use crate::node::Node;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use openraft_rt_tokio::TokioRuntime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_api_wire::raft::raft_server::Raft;
use shoal_api_wire::raft::{Message, ReadIndexRequest, ReadIndexResponse};
use shoal_raft_log::types::{SnapshotMeta, TypeConfig, Vote};
use shoal_raft_objects::codec;
use shoal_raft_store::snapshot;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

type C = TypeConfig<TokioRuntime>;

/// Answers the other managers for one node.
#[derive(Clone)]
pub struct Service(Arc<Node<TokioRuntime>>);

impl Service {
    pub(crate) fn new(node: Arc<Node<TokioRuntime>>) -> Service {
        Service(node)
    }

    fn raft(&self) -> &openraft::Raft<C, Machine<TokioRuntime>> {
        self.0.raft()
    }

    /// An address may have a new owner; a message for the old one is not for us.
    fn check(&self, to: u64) -> Result<(), Status> {
        let id = self.0.me.id.0;
        if to == id {
            Ok(())
        } else {
            Err(Status::failed_precondition(format!(
                "this is manager {id:x}, not {to:x}"
            )))
        }
    }

    fn open<T: DeserializeOwned>(&self, message: Message) -> Result<T, Status> {
        self.check(message.to)?;
        codec::decode(&message.body).map_err(|e| Status::invalid_argument(e.to_string()))
    }
}

fn seal<T: Serialize>(body: &T) -> Result<Message, Status> {
    let body = codec::encode(body).map_err(|e| Status::internal(e.to_string()))?;
    Ok(Message {
        to: 0,
        body: Bytes::from(body),
    })
}

fn respond<T: Serialize, E: ToString>(result: Result<T, E>) -> Result<Response<Message>, Status> {
    let body = result.map_err(|e| Status::unavailable(e.to_string()))?;
    Ok(Response::new(seal(&body)?))
}

#[tonic::async_trait]
impl Raft for Service {
    type ReplicateStream = BoxStream<'static, Result<Message, Status>>;

    async fn replicate(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let service = self.clone();
        // Ends at the first message that is broken or for somebody else.
        let requests = stream::unfold(request.into_inner(), move |mut messages| {
            let service = service.clone();
            async move {
                let message = messages.next().await?;
                let opened = message.and_then(|m| service.open::<AppendEntriesRequest<C>>(m));
                match opened {
                    Ok(request) => Some((request, messages)),
                    Err(status) => {
                        tracing::debug!(%status, "stream of entries ends");
                        None
                    }
                }
            }
        });
        let results = self.raft().stream_append(requests);
        let replies = results.map(|result| match result {
            Ok(result) => seal(&result),
            Err(fatal) => Err(Status::unavailable(fatal.to_string())),
        });
        Ok(Response::new(replies.boxed()))
    }

    async fn heartbeat(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let request: AppendEntriesRequest<C> = self.open(request.into_inner())?;
        let (previous, last) = (
            request.prev_log_id,
            request.entries.last().map(|e| e.log_id).or(request.prev_log_id),
        );
        let answered = self.raft().append_entries(request).await;
        respond(answered.map(|response| -> StreamAppendResult<C> {
            match response {
                openraft::raft::AppendEntriesResponse::Conflict if previous.is_none() => Ok(None),
                response => response.into_stream_result(previous, last),
            }
        }))
    }

    async fn vote(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        respond(self.raft().vote(self.open(request.into_inner())?).await)
    }

    async fn pre_vote(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        respond(self.raft().pre_vote(self.open(request.into_inner())?).await)
    }

    async fn snapshot(&self, request: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        let mut messages = request.into_inner();
        let head = messages
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("snapshot without a head"))?;
        let (vote, meta): (Vote, SnapshotMeta) = self.open(head)?;
        let mut decoder = snapshot::Decoder::default();
        while let Some(chunk) = messages.message().await? {
            self.check(chunk.to)?;
            decoder
                .push(&chunk.body)
                .map_err(|e| Status::data_loss(e.to_string()))?;
        }
        let state = decoder.finish().map_err(|e| Status::data_loss(e.to_string()))?;
        let snapshot = openraft::storage::Snapshot {
            meta,
            snapshot: state,
        };
        respond(self.raft().install_full_snapshot(vote, snapshot).await)
    }

    async fn transfer(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let request = self.open(request.into_inner())?;
        respond(self.raft().handle_transfer_leader(request).await)
    }

    async fn read_index(
        &self,
        request: Request<ReadIndexRequest>,
    ) -> Result<Response<ReadIndexResponse>, Status> {
        self.check(request.into_inner().to)?;
        let next = self.0.read_index().await;
        let next = next.map_err(|e| Status::unavailable(e.to_string()))?;
        Ok(Response::new(ReadIndexResponse { next }))
    }
}
