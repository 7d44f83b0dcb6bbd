//! The state machine: committed entries into `raft/store`, snapshots out of it and back.

use crate::publish::Published;
use futures_util::{Stream, TryStreamExt};
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use shoal_raft_log::Snapshots;
use shoal_raft_log::types::{
    CommittedLeaderId, LogId, Member, Reply, SnapshotMeta, StoredMembership, TypeConfig,
};
use shoal_raft_objects::{Proposal, codec};
use shoal_raft_store::{Outcome, State, snapshot};
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// Snapshots are cut into chunks of this size, on disk and on the wire.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// A snapshot is the state itself: it shares its objects with the live one and becomes bytes chunk by chunk only
/// where it meets a disk or a wire.
type Held = Arc<Mutex<Option<(SnapshotMeta, State)>>>;

pub struct Machine<RT> {
    state: State,
    last: Option<LogId>,
    membership: StoredMembership,
    published: Arc<Published>,
    store: Store,
    _runtime: PhantomData<fn() -> RT>,
}

#[derive(Clone)]
struct Store {
    disk: Arc<dyn Snapshots>,
    /// The one on disk.
    held: Held,
    saving: Arc<Mutex<()>>,
}

impl<RT: AsyncRuntime> Machine<RT> {
    /// Starts from the last snapshot; what was committed after it comes from the log.
    pub fn open(disk: Arc<dyn Snapshots>) -> io::Result<Machine<RT>> {
        let mut decoder = snapshot::Decoder::default();
        let meta = disk.load(&mut |chunk| decoder.push(&chunk).map_err(io::Error::other))?;
        let held = match meta {
            None => None,
            Some(meta) => {
                let meta: SnapshotMeta = codec::decode(&meta).map_err(io::Error::other)?;
                Some((meta, decoder.finish().map_err(io::Error::other)?))
            }
        };
        let (last, membership, state) = match &held {
            None => Default::default(),
            Some((meta, state)) => (meta.last_log_id, meta.last_membership.clone(), state.clone()),
        };
        let published = Published::new(state.clone(), next(last));
        Ok(Machine {
            state,
            last,
            membership,
            published,
            store: Store {
                disk,
                held: Arc::new(Mutex::new(held)),
                saving: Arc::default(),
            },
            _runtime: PhantomData,
        })
    }

    pub fn published(&self) -> Arc<Published> {
        self.published.clone()
    }

    fn apply_one(
        &mut self,
        id: LogId,
        payload: &EntryPayload<shoal_raft_log::types::Payload, u64, Member>,
    ) -> io::Result<Reply> {
        let mut events: Arc<[_]> = Arc::default();
        let reply = match payload {
            EntryPayload::Blank => {
                self.state.skip(id.index);
                Reply::Nothing
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership.clone());
                self.state.skip(id.index);
                Reply::Nothing
            }
            EntryPayload::Normal(payload) => {
                // An entry that this version cannot read must stop it: going on would lead to another state than
                // the other managers have.
                let proposal: Proposal = codec::decode(&payload.0)
                    .map_err(|e| io::Error::other(format!("log entry {} is not readable: {e}", id.index)))?;
                match self.state.apply(id.index, &proposal) {
                    Outcome::Applied(list) => {
                        events = list.into();
                        Reply::Applied(events.clone())
                    }
                    Outcome::Refused(refusal) => Reply::Refused(refusal),
                }
            }
        };
        self.last = Some(id);
        self.published.applied(id.index, &self.state, &events);
        Ok(reply)
    }
}

fn next(last: Option<LogId>) -> u64 {
    last.map_or(0, |id| id.index + 1)
}

impl Store {
    /// Blocks on the disk, so it gets a thread of its own where there are threads.
    async fn save<RT: AsyncRuntime>(&self, meta: SnapshotMeta, state: State) -> io::Result<()> {
        let store = self.clone();
        RT::spawn_blocking(move || {
            let encoded = codec::encode(&meta).map_err(io::Error::other)?;
            // One save after the other, and never an older one over a newer one.
            let _saving = store.saving.lock();
            let last_held = store.held.lock().as_ref().and_then(|(held, _)| held.last_log_id);
            if last_held.is_some() && last_held >= meta.last_log_id {
                return Ok(());
            }
            let mut chunks = snapshot::encode(&state, CHUNK_BYTES).map(|c| c.map_err(io::Error::other));
            store.disk.save(&encoded, &mut chunks)?;
            drop(chunks);
            *store.held.lock() = Some((meta, state));
            Ok(())
        })
        .await?
    }
}

pub struct Builder<RT> {
    meta: SnapshotMeta,
    state: State,
    store: Store,
    _runtime: PhantomData<fn() -> RT>,
}

impl<RT: AsyncRuntime> RaftSnapshotBuilder<TypeConfig<RT>> for Builder<RT> {
    type SnapshotData = State;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<CommittedLeaderId, u64, Member, State>> {
        self.store
            .save::<RT>(self.meta.clone(), self.state.clone())
            .await?;
        Ok(Snapshot {
            meta: self.meta.clone(),
            snapshot: self.state.clone(),
        })
    }
}

impl<RT: AsyncRuntime> RaftStateMachine<TypeConfig<RT>> for Machine<RT> {
    type SnapshotData = State;
    type SnapshotBuilder = Builder<RT>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig<RT>>>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = self.apply_one(entry.log_id, &entry.payload)?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder<RT> {
        Builder {
            meta: SnapshotMeta {
                last_log_id: self.last,
                last_membership: self.membership.clone(),
            },
            state: self.state.clone(),
            store: self.store.clone(),
            _runtime: PhantomData,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, state: State) -> io::Result<()> {
        self.store.save::<RT>(meta.clone(), state.clone()).await?;
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.state = state;
        self.published.replaced(&self.state, next(self.last));
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<Snapshot<CommittedLeaderId, u64, Member, State>>> {
        Ok(self
            .store
            .held
            .lock()
            .clone()
            .map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}
