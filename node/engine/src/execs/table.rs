//! The execs that this daemon knows of: asked for, running, and for a while those that ended.

use parking_lot::Mutex;
use shoal_api_types::exec::ExecCreateRequest;
use shoal_node_drivers_shim::ExecHandle;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an end can be asked for.
const ENDED_FOR: Duration = Duration::from_secs(300);
/// More than this are never kept; the oldest that ended go first.
const KEPT_MAX: usize = 8192;

#[derive(Clone, Default)]
pub struct Table {
    execs: Arc<Mutex<BTreeMap<String, Entry>>>,
}

#[derive(Clone)]
pub struct Entry {
    pub container: String,
    pub request: Arc<ExecCreateRequest>,
    pub state: State,
}

#[derive(Clone)]
pub enum State {
    Created,
    /// Its process is being made.
    Starting,
    Running(Arc<ExecHandle>),
    Ended {
        exit_code: i64,
        pid: i64,
        at: Instant,
    },
}

impl Table {
    pub fn insert(&self, id: &str, container: &str, request: ExecCreateRequest) {
        let mut execs = self.execs.lock();
        sweep(&mut execs);
        let entry = Entry {
            container: container.into(),
            request: Arc::new(request),
            state: State::Created,
        };
        execs.insert(id.into(), entry);
    }

    pub fn get(&self, id: &str) -> Option<Entry> {
        self.execs.lock().get(id).cloned()
    }

    /// Moves on from `Created`; false when somebody else already has.
    pub fn begin(&self, id: &str) -> bool {
        match self.execs.lock().get_mut(id) {
            Some(entry) if matches!(entry.state, State::Created) => {
                entry.state = State::Starting;
                true
            }
            _ => false,
        }
    }

    pub fn set(&self, id: &str, state: State) {
        if let Some(entry) = self.execs.lock().get_mut(id) {
            entry.state = state;
        }
    }

    /// Those of a container that have not ended.
    pub fn of(&self, container: &str) -> Vec<String> {
        let open = |e: &Entry| e.container == container && !matches!(e.state, State::Ended { .. });
        self.execs
            .lock()
            .iter()
            .filter(|(_, e)| open(e))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The container's process is gone: what never started never will.
    pub fn container_ended(&self, container: &str) {
        self.execs
            .lock()
            .retain(|_, e| e.container != container || !matches!(e.state, State::Created));
    }

    /// The container is no more, and nobody can ask about what ran in it.
    pub fn container_removed(&self, container: &str) {
        self.execs.lock().retain(|_, e| e.container != container);
    }

    /// Execs that ran on while the daemon was away. What they were asked for is not known any more.
    pub fn readopt(&self, container: &str, handles: Vec<ExecHandle>) {
        for handle in handles {
            let id = handle.id().to_string();
            let entry = Entry {
                container: container.into(),
                request: Arc::default(),
                state: State::Running(Arc::new(handle)),
            };
            self.execs.lock().insert(id.clone(), entry);
            self.watch(id);
        }
    }

    /// Notes the end of a running exec when it comes.
    pub fn watch(&self, id: String) {
        let table = self.clone();
        tokio::spawn(async move {
            let Some(Entry {
                state: State::Running(handle),
                ..
            }) = table.get(&id)
            else {
                return;
            };
            let exit = handle.exited().await;
            table.ended(&id, exit.code, handle.pid);
        });
    }

    pub fn ended(&self, id: &str, exit_code: i32, pid: u32) {
        let state = State::Ended {
            exit_code: i64::from(exit_code),
            pid: i64::from(pid),
            at: Instant::now(),
        };
        self.set(id, state);
    }
}

fn sweep(execs: &mut BTreeMap<String, Entry>) {
    let old = |e: &Entry| matches!(e.state, State::Ended { at, .. } if at.elapsed() > ENDED_FOR);
    execs.retain(|_, e| !old(e));
    while execs.len() >= KEPT_MAX {
        let first = execs
            .iter()
            .filter_map(|(id, e)| match e.state {
                State::Ended { at, .. } => Some((at, id.clone())),
                _ => None,
            })
            .min();
        match first {
            Some((_, id)) => execs.remove(&id),
            None => return,
        };
    }
}
