//! One task from assignment to its end: asks `taskstep` what to do, has the executor do it, says what came of it.

use crate::executor::{Executor, Material, TaskError};
use crate::ground::Ground;
use crate::orders::Orders;
use crate::reporter::Reporter;
use parking_lot::Mutex;
use shoal_node_core_host::taskstep::{self, Act, Outcome, Report};
use shoal_raft_objects::task::ContainerStatus;
use shoal_raft_objects::{Task, TaskState, TaskStatus, Time};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};

/// Pauses between tries of what may succeed later.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(15);

/// What the cluster wants of a task now.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub task: Arc<Task>,
    pub material: Arc<Material>,
    /// False once the task was taken from this node.
    pub assigned: bool,
}

impl Wanted {
    /// What is desired here. A task that the managers have given up on is over, whatever it does on this node.
    fn desired(&self) -> TaskState {
        if self.task.status.state.is_terminal() {
            self.task.desired.max(TaskState::Shutdown)
        } else {
            self.task.desired
        }
    }
}

/// Shared by all runners of a node.
pub(crate) struct Shop {
    pub executor: Arc<dyn Executor>,
    pub reporter: Reporter,
    pub orders: Orders,
    pub ground: Ground,
    /// Bounds what is being prepared, started, stopped and removed at a time.
    pub hands: Semaphore,
    /// Woken when some status changed, for the book.
    pub changed: Notify,
}

pub(crate) struct Runner {
    pub shop: Arc<Shop>,
    pub wanted: watch::Receiver<Wanted>,
    pub status: Arc<Mutex<TaskStatus>>,
}

/// Why an act ended early.
enum Cut {
    /// Something else is wanted now.
    Changed,
    /// The agent goes away; nothing more is to be done.
    Over,
}

impl Runner {
    /// Returns once the task is removed from this node, or the agent goes away.
    pub async fn run(mut self) {
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let state = self.status.lock().state;
            let step = taskstep::step(state, wanted.desired(), wanted.assigned);
            let reported = step.report.is_some();
            if let Some(report) = step.report {
                self.say(&wanted.task, report, None, None);
            }
            if step.act == Act::Rest {
                if !reported && self.wanted.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let state = self.status.lock().state;
            match self.act(&wanted, step.act).await {
                Ok((outcome, container, ports)) => {
                    if let Some(report) = taskstep::settle(state, step.act, &outcome) {
                        self.say(&wanted.task, report, container, ports);
                    }
                    if step.act == Act::Remove {
                        return;
                    }
                }
                Err(Cut::Changed) => {}
                Err(Cut::Over) => return,
            }
        }
    }

    async fn act(&mut self, wanted: &Wanted, act: Act) -> Result<Done, Cut> {
        let mut pause = RETRY_FIRST;
        loop {
            if act.needs_fresh_orders() {
                let shop = self.shop.clone();
                self.unless_changed(act, async move { shop.orders.wait_fresh().await })
                    .await?;
            }
            let shop = self.shop.clone();
            // What waited for fresh orders acts on them: the task from the book has no credentials and no material.
            let wanted = match act.needs_fresh_orders() {
                true => self.wanted.borrow().clone(),
                false => wanted.clone(),
            };
            let tried = self
                .unless_changed(act, async move { attempt(&shop, &wanted, act).await })
                .await?;
            let error = match tried {
                Ok(done) => return Ok(done),
                // Stopping and removing never give up: something may still run.
                Err(TaskError::Fatal(error)) if !matches!(act, Act::Shutdown | Act::Remove) => {
                    return Ok((Outcome::Failed { error }, None, None));
                }
                Err(error) => error,
            };
            tracing::warn!(task = %self.wanted.borrow().task.id, ?act, %error, "will be tried again");
            self.unless_changed(act, tokio::time::sleep(pause)).await?;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Runs `work`, which is dropped if it no longer serves what is wanted.
    async fn unless_changed<T>(&mut self, act: Act, work: impl Future<Output = T>) -> Result<T, Cut> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                changed = self.wanted.changed() => {
                    changed.map_err(|_| Cut::Over)?;
                    let now = self.wanted.borrow().clone();
                    let state = self.status.lock().state;
                    if taskstep::step(state, now.desired(), now.assigned).act != act {
                        // The change must be seen by the loop above as well.
                        self.wanted.mark_changed();
                        return Err(Cut::Changed);
                    }
                }
                done = &mut work => return Ok(done),
            }
        }
    }

    fn say(
        &self,
        task: &Task,
        report: Report,
        container: Option<ContainerStatus>,
        ports: Option<Vec<shoal_raft_objects::PortConfig>>,
    ) {
        let mut status = self.status.lock();
        status.state = report.state;
        status.timestamp = now();
        if let Some(message) = report.message {
            status.message = message.to_owned();
        }
        status.err = report.error;
        if let Some(container) = container {
            status.container = Some(container);
        }
        if let Some(ports) = ports {
            status.ports = ports;
        }
        let status = status.clone();
        self.shop.reporter.report(&task.id, &status);
        self.shop.changed.notify_one();
    }
}

type Done = (
    Outcome,
    Option<ContainerStatus>,
    Option<Vec<shoal_raft_objects::PortConfig>>,
);

async fn attempt(shop: &Shop, wanted: &Wanted, act: Act) -> Result<Done, TaskError> {
    let task = &wanted.task;
    // Waiting takes as long as the task lives; only acts that cost something are counted.
    let _hand = match act {
        Act::Wait | Act::Rest => None,
        _ => shop.hands.acquire().await.ok(),
    };
    // The hand may have been long in coming.
    if act.needs_fresh_orders() && !shop.orders.fresh() {
        return Err(TaskError::Temporary("orders became stale".into()));
    }
    let done = |outcome| Ok((outcome, None, None));
    match act {
        Act::Prepare => {
            shop.executor.prepare(task, &wanted.material).await?;
            done(Outcome::Done)
        }
        Act::Start => {
            let started = shop.executor.start(task).await?;
            Ok((Outcome::Done, Some(started.container), Some(started.ports)))
        }
        Act::Wait => {
            let exit = shop.executor.wait(task).await?;
            let outcome = Outcome::Ended {
                exit_code: exit.code,
                error: exit.error,
            };
            Ok((outcome, Some(exit.container), None))
        }
        Act::Shutdown => {
            shop.executor.shutdown(task).await?;
            done(Outcome::Done)
        }
        Act::Remove => {
            shop.executor.remove(&task.id).await?;
            done(Outcome::Done)
        }
        Act::Rest => done(Outcome::Done),
    }
}

pub(crate) fn now() -> Time {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
