//! Layers unpacked while the archive that they are in still comes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Result;
use crate::store::{Growing, GrowingReader, Loose, Store};
use crate::unpack::Warm;

/// More only fight for the disk.
const THREADS: usize = 2;
/// Layers that wait for their turn; each holds an open file. Those beyond are unpacked when all has come.
const QUEUE: usize = 64;

/// What comes of one layer. Nobody unpacks for who has let go of it.
pub(crate) type Early = oneshot::Receiver<Result<Loose>>;

type Job = (GrowingReader, oneshot::Sender<Result<Loose>>);

pub(crate) struct Unpackers {
    store: Arc<Store>,
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Unpackers {
    pub fn new(store: &Arc<Store>) -> Unpackers {
        Unpackers {
            store: store.clone(),
            queue: None,
            threads: Vec::new(),
        }
    }

    /// Begins with a layer that is coming, when its turn is; `None` if there are too many.
    pub fn unpack(&mut self, layer: &Growing) -> Option<Early> {
        let (tell, early) = oneshot::channel();
        let job = (layer.reader()?, tell);
        let queue = self.queue.get_or_insert_with(|| {
            let (queue, jobs) = sync_channel(QUEUE);
            let jobs = Arc::new(Mutex::new(jobs));
            let warm = Warm::default();
            for _ in 0..THREADS {
                let (store, jobs, warm) = (self.store.clone(), jobs.clone(), warm.clone());
                let thread = Builder::new().name("load-unpack".into());
                self.threads
                    .extend(thread.spawn(move || work(&store, &jobs, &warm)));
            }
            queue
        });
        queue.try_send(job).ok().map(|()| early)
    }

    /// Waits until nothing is unpacked any more: of an archive that failed nothing is left then. Blocks.
    pub fn finish(mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(store: &Store, jobs: &Mutex<Receiver<Job>>, warm: &Warm) {
    loop {
        let job = jobs.lock().recv();
        let Ok((layer, tell)) = job else { return };
        if !tell.is_closed() {
            // Let go of meanwhile, it is thrown away.
            let _ = tell.send(store.unpack_coming(layer, warm, |_| {}));
        }
    }
}
