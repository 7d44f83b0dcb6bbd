//! The tasks of this node: who is assigned, a runner for each.

use crate::book::Book;
use crate::executor::Material;
use crate::runner::{Runner, Shop, Wanted};
use parking_lot::Mutex;
use shoal_raft_objects::{Config, Secret, Task, TaskId, TaskState, TaskStatus};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Changes gather for so long before the book is written.
const BOOK_DELAY: Duration = Duration::from_millis(50);

/// One change of what is assigned.
pub(crate) enum Change {
    Task(Box<Task>),
    RemoveTask(TaskId),
    Secret(Box<Secret>),
    RemoveSecret(String),
    Config(Box<Config>),
    RemoveConfig(String),
}

struct Entry {
    wanted: watch::Sender<Wanted>,
    status: Arc<Mutex<TaskStatus>>,
}

#[derive(Default)]
struct Tables {
    entries: HashMap<TaskId, Entry>,
    secrets: HashMap<String, Secret>,
    configs: HashMap<String, Config>,
}

pub(crate) struct Worker {
    shop: Arc<Shop>,
    tables: Mutex<Tables>,
    book: Book,
    runners: TaskTracker,
    stop: CancellationToken,
}

impl Worker {
    /// Takes up the tasks in the book: those that run are watched, nothing is started before orders come.
    pub fn start(shop: Arc<Shop>, book: Book, stop: CancellationToken) -> Arc<Self> {
        let worker = Arc::new(Self {
            shop,
            tables: Mutex::default(),
            book,
            runners: TaskTracker::new(),
            stop,
        });
        for (task, status) in worker.book.load() {
            worker.enter(task, Some(status));
        }
        let saver = worker.clone();
        worker.runners.spawn(async move { saver.keep_book().await });
        worker
    }

    /// Exactly these tasks are this node's; whatever else it has is stopped and removed.
    pub async fn complete(self: &Arc<Self>, changes: Vec<Change>) {
        let present: BTreeSet<TaskId> = match self.shop.executor.tasks().await {
            Ok(present) => present.into_iter().collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot list the containers of tasks");
                BTreeSet::new()
            }
        };
        {
            let mut tables = self.tables.lock();
            tables.secrets.clear();
            tables.configs.clear();
        }
        let (tasks, material): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| matches!(change, Change::Task(_)));
        for change in material {
            self.change(change);
        }
        let mut listed = BTreeSet::new();
        for change in tasks {
            if let Change::Task(task) = change {
                listed.insert(task.id.clone());
                let unknown = !self.tables.lock().entries.contains_key(&task.id);
                // The managers gave it up while its container still runs here: it must be stopped, not rested upon.
                let forgotten = unknown && task.status.state.is_terminal() && present.contains(&task.id);
                let local = forgotten.then(|| TaskStatus {
                    state: TaskState::Running,
                    ..task.status.clone()
                });
                self.assign(*task, local);
            }
        }
        let gone: Vec<TaskId> = {
            let tables = self.tables.lock();
            tables
                .entries
                .keys()
                .filter(|id| !listed.contains(*id))
                .cloned()
                .collect()
        };
        for id in gone {
            self.change(Change::RemoveTask(id));
        }
        let known: BTreeSet<TaskId> = self.tables.lock().entries.keys().cloned().collect();
        for orphan in present {
            if !known.contains(&orphan) {
                self.remove_orphan(orphan);
            }
        }
    }

    pub fn change(self: &Arc<Self>, change: Change) {
        match change {
            Change::Task(task) => self.assign(*task, None),
            Change::RemoveTask(id) => {
                self.shop.reporter.forget(&id);
                let tables = self.tables.lock();
                if let Some(entry) = tables.entries.get(&id) {
                    entry.wanted.send_modify(|wanted| wanted.assigned = false);
                }
            }
            Change::Secret(secret) => {
                self.tables.lock().secrets.insert(secret.id.to_string(), *secret);
            }
            Change::RemoveSecret(id) => {
                self.tables.lock().secrets.remove(&id);
            }
            Change::Config(config) => {
                self.tables.lock().configs.insert(config.id.to_string(), *config);
            }
            Change::RemoveConfig(id) => {
                self.tables.lock().configs.remove(&id);
            }
        }
    }

    /// The task as last assigned, if it is this node's.
    pub fn task(&self, id: &TaskId) -> Option<Arc<Task>> {
        let tables = self.tables.lock();
        tables
            .entries
            .get(id)
            .map(|entry| entry.wanted.borrow().task.clone())
    }

    /// Every task that this node has a runner for.
    pub fn ids(&self) -> Vec<TaskId> {
        self.tables.lock().entries.keys().cloned().collect()
    }

    fn assign(self: &Arc<Self>, task: Task, local: Option<TaskStatus>) {
        let tables = self.tables.lock();
        let material = material(&tables);
        if let Some(entry) = tables.entries.get(&task.id) {
            let status = entry.status.lock().clone();
            if status.state > task.status.state {
                self.shop.reporter.report(&task.id, &status);
            }
            entry.wanted.send_modify(|wanted| {
                wanted.task = Arc::new(task);
                wanted.material = material;
                wanted.assigned = true;
            });
            return;
        }
        drop(tables);
        self.enter(task, local);
    }

    fn enter(self: &Arc<Self>, task: Task, local: Option<TaskStatus>) {
        let status = Arc::new(Mutex::new(local.unwrap_or_else(|| task.status.clone())));
        let id = task.id.clone();
        let mut tables = self.tables.lock();
        let (wanted, receiver) = watch::channel(Wanted {
            task: Arc::new(task),
            material: material(&tables),
            assigned: true,
        });
        let runner = Runner {
            shop: self.shop.clone(),
            wanted: receiver,
            status: status.clone(),
        };
        tables.entries.insert(id.clone(), Entry { wanted, status });
        drop(tables);
        let worker = self.clone();
        self.runners.spawn(async move {
            tokio::select! {
                () = worker.stop.cancelled() => return,
                () = runner.run() => {}
            }
            worker.tables.lock().entries.remove(&id);
            worker.shop.changed.notify_one();
        });
        self.shop.changed.notify_one();
    }

    /// A container of a task that the cluster does not know as ours, from before a reinstallation or a long absence.
    fn remove_orphan(self: &Arc<Self>, id: TaskId) {
        let worker = self.clone();
        self.runners.spawn(async move {
            let work = async {
                let _hand = worker.shop.hands.acquire().await;
                if let Err(error) = worker.shop.executor.remove(&id).await {
                    tracing::warn!(%error, task = %id, "cannot remove a container that is no longer this node's");
                }
            };
            tokio::select! {
                () = worker.stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn keep_book(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.shop.changed.notified() => {}
            }
            tokio::time::sleep(BOOK_DELAY).await;
            self.save().await;
        }
        self.save().await;
    }

    async fn save(&self) {
        let tasks: Vec<(Task, TaskStatus)> = {
            let tables = self.tables.lock();
            let entries = tables.entries.values();
            entries
                .map(|e| (for_book(&e.wanted.borrow().task), e.status.lock().clone()))
                .collect()
        };
        let book = self.book.clone();
        match tokio::task::spawn_blocking(move || book.save(&tasks)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot keep the tasks of this node"),
            Err(error) => tracing::error!(%error, "writing the tasks of this node failed"),
        }
    }

    /// Waits until everything that was spawned has ended, after `stop` was cancelled.
    pub async fn stopped(&self) {
        self.runners.close();
        self.runners.wait().await;
    }
}

/// Without credentials: they come again with the orders, and do not lie on this disk.
fn for_book(task: &Task) -> Task {
    let mut task = task.clone();
    if let Some(container) = &mut task.spec.container_spec {
        container.pull_auth = None;
    }
    task
}

fn material(tables: &Tables) -> Arc<Material> {
    Arc::new(Material {
        secrets: tables.secrets.values().cloned().collect(),
        configs: tables.configs.values().cloned().collect(),
    })
}
