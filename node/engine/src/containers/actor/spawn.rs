//! Making an actor.

use super::{Actor, Input};
use crate::containers::handle::{Handle, Inner, View};
use crate::containers::kit::Kit;
use crate::containers::record::{Record, Run};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// More callers than this wait in turn.
const INBOX_MAX: usize = 32;

/// What an actor begins with.
pub struct Seed {
    pub record: Record,
    pub run: Run,
    pub dir: PathBuf,
}

/// Starts the actor; it lives until its container is gone or every handle is.
pub fn spawn(kit: &Arc<Kit>, seed: Seed) -> Handle {
    let Seed { record, run, dir } = seed;
    let run_dir = kit.run_root.join(&record.id);
    let record = Arc::new(record);
    let first = View {
        record: record.clone(),
        state: run.state.clone(),
        endpoints: Arc::new(run.endpoints.clone()),
        health: run.health.clone().map(Arc::new),
        shim: None,
        gone: false,
    };
    let (view, window) = watch::channel(Arc::new(first));
    let (inbox, receiver) = mpsc::channel::<Input>(INBOX_MAX);
    let waiting = Arc::new(crate::containers::attach::Waiting::default());
    let inner = Inner {
        id: record.id.clone(),
        dir: dir.clone(),
        run_dir: run_dir.clone(),
        inbox,
        view: window,
        waiting: waiting.clone(),
        shown: Default::default(),
    };
    let actor = Actor {
        kit: kit.clone(),
        dir,
        run_dir,
        record,
        run,
        process: None,
        waiters: Default::default(),
        view,
        waiting,
    };
    tokio::spawn(actor.serve(receiver));
    Handle {
        inner: Arc::new(inner),
    }
}
