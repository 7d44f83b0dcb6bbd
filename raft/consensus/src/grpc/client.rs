//! The calling side.

use crate::config::{Dial, Peer};
use crate::machine::CHUNK_BYTES;
use crate::node::Ask;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_api_wire::channel;
use shoal_api_wire::raft::raft_client::RaftClient;
use shoal_api_wire::raft::{Message, ReadIndexRequest};
use shoal_raft_log::types::{CommittedLeaderId, Member, TypeConfig, Vote};
use shoal_raft_objects::{RaftId, codec};
use shoal_raft_store::{State, snapshot};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

type C = TypeConfig<TokioRuntime>;
type SnapshotOf = openraft::storage::Snapshot<CommittedLeaderId, u64, Member, State>;

/// A stream of entries on which nothing has come back for this long is given up.
const STREAM_STALLS: Duration = Duration::from_secs(2);

/// Connections to the other managers, one each.
#[derive(Clone)]
pub struct Peers {
    dial: Arc<dyn Dial>,
    /// By Raft id, with the address that it was made for.
    channels: Arc<Mutex<HashMap<u64, (String, Channel)>>>,
}

impl Peers {
    pub fn new(dial: Arc<dyn Dial>) -> Peers {
        Peers {
            dial,
            channels: Arc::default(),
        }
    }

    fn channel(&self, peer: &Peer) -> Result<Channel, tonic::transport::Error> {
        let mut channels = self.channels.lock();
        match channels.get(&peer.id.0) {
            Some((addr, channel)) if *addr == peer.addr => Ok(channel.clone()),
            _ => {
                let (dial, to) = (self.dial.clone(), peer.clone());
                let channel = channel::lazy(&peer.addr, move |_| {
                    let (dial, to) = (dial.clone(), to.clone());
                    async move { dial.dial(&to).await }
                })?;
                channels.insert(peer.id.0, (peer.addr.clone(), channel.clone()));
                Ok(channel)
            }
        }
    }

    fn link(&self, target: u64, member: &Member) -> Link {
        let peer = Peer {
            id: RaftId(target),
            node: member.node.clone(),
            addr: member.addr.clone(),
        };
        Link {
            to: target,
            client: self.channel(&peer).map(client).map_err(|e| e.to_string()),
            unary: false,
        }
    }
}

fn client(channel: Channel) -> RaftClient<Channel> {
    RaftClient::new(channel)
        .max_decoding_message_size(channel::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(channel::MESSAGE_BYTES_MAX)
}

#[async_trait]
impl Ask for Peers {
    async fn read_index(&self, leader: &Peer) -> io::Result<u64> {
        let channel = self.channel(leader).map_err(io::Error::other)?;
        let asked = client(channel)
            .read_index(ReadIndexRequest { to: leader.id.0 })
            .await;
        Ok(asked.map_err(io::Error::other)?.into_inner().next)
    }
}

impl RaftNetworkFactory<C> for Peers {
    type Network = Link;

    async fn new_client(&mut self, target: u64, member: &Member) -> Link {
        self.link(target, member)
    }

    async fn new_heartbeat_client(&mut self, target: u64, member: &Member) -> Link {
        let mut link = self.link(target, member);
        link.unary = true;
        link
    }
}

/// The way to one manager.
pub struct Link {
    to: u64,
    /// An address that is not one fails every call, as an unreachable one does.
    client: Result<RaftClient<Channel>, String>,
    /// Heartbeats come one by one; a stream for each would only cost.
    unary: bool,
}

/// One call, by name, within its time.
macro_rules! call {
    ($link:ident . $method:ident, $request:expr, $option:expr) => {{
        let message = $link.message($request)?;
        let mut client = $link.client()?;
        let call = async move { client.$method(message).await };
        match tokio::time::timeout($option.hard_ttl(), call).await {
            Err(_) => Err(unreachable(concat!(stringify!($method), " timed out"))),
            Ok(Err(status)) => Err(unreachable(status)),
            Ok(Ok(reply)) => open(&reply.into_inner().body),
        }
    }};
}

fn unreachable(why: impl ToString) -> RPCError<C> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

fn open<T: DeserializeOwned>(body: &[u8]) -> Result<T, RPCError<C>> {
    codec::decode(body).map_err(|e| RPCError::Network(NetworkError::new(&e)))
}

impl Link {
    fn client(&self) -> Result<RaftClient<Channel>, RPCError<C>> {
        self.client.clone().map_err(unreachable)
    }

    fn message<T: Serialize>(&self, body: &T) -> Result<Message, RPCError<C>> {
        message(self.to, body).map_err(|e| RPCError::Network(NetworkError::new(&e)))
    }
}

fn message<T: Serialize>(to: u64, body: &T) -> Result<Message, codec::Error> {
    Ok(Message {
        to,
        body: Bytes::from(codec::encode(body)?),
    })
}

impl RaftNetworkV2<C> for Link {
    type SnapshotData = State;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        let range_last = request.entries.last().map(|e| e.log_id).or(request.prev_log_id);
        let result: StreamAppendResult<C> = call!(self.heartbeat, &request, option)?;
        Ok(match result {
            Ok(last) if last == range_last => AppendEntriesResponse::Success,
            Ok(last) => AppendEntriesResponse::PartialSuccess(last),
            Err(error) => AppendEntriesResponse::from(Err(error)),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<C>, RPCError<C>>>, RPCError<C>>>
    where
        S: Stream<Item = AppendEntriesRequest<C>> + Send + Unpin + 'static,
    {
        if self.unary {
            return stream_append_sequential(self, input, option);
        }
        async move {
            let mut client = self.client()?;
            let to = self.to;
            // After a failure it is the first request that is held back for a while. So it is waited for before a
            // connection is tried: a manager that is gone would be called on without any pause.
            let mut input = input;
            let Some(first) = input.next().await else {
                return Ok(stream::empty().boxed());
            };
            let sent = Arc::new(AtomicU64::new(0));
            let counted = sent.clone();
            // A request that cannot be encoded ends the stream; the replies end with it.
            let requests = stream::once(std::future::ready(first))
                .chain(input)
                .map(move |request| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    message(to, &request)
                })
                .take_while(|message| std::future::ready(message.is_ok()))
                .filter_map(|message| std::future::ready(message.ok()));
            let replies = tokio::time::timeout(STREAM_STALLS, client.replicate(requests))
                .await
                .map_err(|_| unreachable("replicate timed out"))?
                .map_err(unreachable)?
                .into_inner();
            let results = stream::unfold(Some((replies, 0)), move |state| {
                let sent = sent.clone();
                async move {
                    let (mut replies, received) = state?;
                    match reply(&mut replies, &sent, received).await {
                        Ok(None) => None,
                        Ok(Some(body)) => {
                            let result: Result<StreamAppendResult<C>, _> = open(&body);
                            let next = result.is_ok().then_some((replies, received + 1));
                            Some((result, next))
                        }
                        Err(error) => Some((Err(error), None)),
                    }
                }
            });
            Ok(results.boxed())
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        call!(self.vote, &request, option)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<C>,
        option: RPCOption,
    ) -> Result<VoteResponse<C>, RPCError<C>> {
        call!(self.pre_vote, &request, option)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let gone = |why: String| StreamingError::Unreachable(Unreachable::from_string(why));
        let mut client = self.client.clone().map_err(gone)?;
        let to = self.to;
        let head = message(to, &(vote, &snapshot.meta)).map_err(|e| gone(e.to_string()))?;
        let (chunks, stream) = tokio::sync::mpsc::channel(2);
        // Encoding and checksums take time; the channel holds it back to the speed of the network.
        let cutting = tokio::task::spawn_blocking(move || {
            if chunks.blocking_send(head).is_err() {
                return Ok(());
            }
            for chunk in snapshot::encode(&snapshot.snapshot, CHUNK_BYTES) {
                let body = Bytes::from(chunk?);
                if chunks.blocking_send(Message { to, body }).is_err() {
                    break;
                }
            }
            Ok::<_, snapshot::Error>(())
        });
        let send = async move {
            let reply = client.snapshot(ReceiverStream::new(stream)).await;
            match cutting.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(gone(error.to_string())),
                Err(error) => return Err(gone(error.to_string())),
            }
            let reply = reply.map_err(|e| gone(e.to_string()))?.into_inner();
            codec::decode(&reply.body).map_err(|e| gone(e.to_string()))
        };
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = tokio::time::timeout(option.hard_ttl(), send) => {
                sent.unwrap_or_else(|_| Err(gone("snapshot timed out".into())))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        call!(self.transfer, &request, option)
    }

    /// A manager that restarts or joins should not wait long for the leader's next attempt.
    fn backoff(&self) -> Option<Backoff> {
        let delays = [10, 20, 50, 100].into_iter().chain(std::iter::repeat(200));
        Some(Backoff::new(delays.map(Duration::from_millis)))
    }
}

/// The next reply on a stream; an error if requests are under way and nothing moves.
async fn reply(
    replies: &mut tonic::Streaming<Message>,
    sent: &AtomicU64,
    received: u64,
) -> Result<Option<Bytes>, RPCError<C>> {
    let mut waited_for = None;
    loop {
        match tokio::time::timeout(STREAM_STALLS, replies.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(message))) => return Ok(Some(message.body)),
            Ok(Some(Err(status))) => return Err(lost(status)),
            Err(_) => {
                // Idle is fine. A request that was under way for the whole time is not.
                let under_way = sent.load(Ordering::Relaxed) > received;
                if under_way && waited_for == Some(received) {
                    return Err(unreachable("the stream of entries stalls"));
                }
                waited_for = under_way.then_some(received);
            }
        }
    }
}

fn lost(status: Status) -> RPCError<C> {
    unreachable(status)
}
