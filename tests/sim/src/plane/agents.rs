//! A node that runs no containers but behaves as if it did.
//!
//! What a task does is said by its image: `web` runs until it is stopped, `broken` cannot be prepared, `crash` fails
//! as soon as it runs, `crash:SECONDS` fails after so long, `once` (and `once:SECONDS`) ends well after so long,
//! `flaky` fails by chance, `slow` takes ten seconds to prepare.

use crate::plane::dice::Dice;
use shoal_node_core_cluster::assignments::Change;
use shoal_raft_objects::{NodeId, Task, TaskId, TaskState, TaskStatus, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Agent {
    pub id: NodeId,
    held: BTreeMap<TaskId, Held>,
    /// Reports that no manager has taken yet: the newest of each task.
    unsent: BTreeMap<TaskId, TaskStatus>,
}

#[derive(Clone, Debug)]
struct Held {
    task: Arc<Task>,
    state: TaskState,
    next_at: Time,
    /// Still in the set that the managers sent.
    listed: bool,
    /// Its container is gone.
    lost: bool,
    /// Was told to stop and takes its time.
    stopping: bool,
}

impl Held {
    fn must_stop(&self) -> bool {
        self.task.desired > TaskState::Complete || !self.listed
    }

    /// What it is to do has changed: a stop comes at once, a start to what has waited for it.
    fn wake(&mut self, now: Time) {
        if self.next_at == Time(i64::MAX) || (self.must_stop() && !self.stopping) {
            self.next_at = now;
        }
    }
}

impl Agent {
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            held: BTreeMap::new(),
            unsent: BTreeMap::new(),
        }
    }

    /// Carries out assignments. In a complete set, what is not listed is to be stopped.
    pub fn take(&mut self, complete: bool, changes: &[Change], now: Time) {
        if complete {
            for held in self.held.values_mut() {
                held.listed = false;
            }
        }
        for change in changes {
            match change {
                Change::Task(task) => {
                    // The managers know of a container that is not here: the host died with it.
                    let state = task.status.state;
                    let fresh = Held {
                        task: task.clone(),
                        state,
                        lost: has_container(state),
                        next_at: now,
                        listed: true,
                        stopping: false,
                    };
                    let held = self.held.entry(task.id.clone()).or_insert(fresh);
                    held.listed = true;
                    if task.desired > held.task.desired {
                        held.task = task.clone();
                        held.wake(now);
                    }
                }
                Change::RemoveTask(id) => {
                    if let Some(held) = self.held.get_mut(id) {
                        held.listed = false;
                    }
                }
                _ => {}
            }
        }
        for held in self.held.values_mut().filter(|held| !held.listed) {
            held.wake(now);
        }
        self.held
            .retain(|_, held| held.listed || has_container(held.state));
    }

    /// Takes every task that is due one step further.
    pub fn step(&mut self, now: Time, dice: &mut Dice) {
        for (id, held) in &mut self.held {
            while held.next_at <= now {
                let Some((state, after)) = next(held, dice) else {
                    held.next_at = Time(i64::MAX);
                    break;
                };
                held.next_at = now.after(after);
                if state != held.state {
                    held.state = state;
                    self.unsent.insert(id.clone(), status(held, now));
                }
            }
        }
        self.held
            .retain(|_, held| held.listed || has_container(held.state));
    }

    pub fn next_at(&self) -> Option<Time> {
        self.held
            .values()
            .map(|held| held.next_at)
            .filter(|at| *at < Time(i64::MAX))
            .min()
    }

    /// Reports for a manager, which takes responsibility for them.
    pub fn reports(&mut self) -> BTreeMap<TaskId, TaskStatus> {
        std::mem::take(&mut self.unsent)
    }

    /// A new session: everything is said again, since nobody knows what of it arrived.
    pub fn say_everything(&mut self, now: Time) {
        for (id, held) in &self.held {
            self.unsent.insert(id.clone(), status(held, now));
        }
    }

    /// The host dies with everything on it.
    pub fn lose_everything(&mut self) {
        self.held.clear();
        self.unsent.clear();
    }

    /// Tasks that have a running container here.
    pub fn running(&self) -> impl Iterator<Item = &TaskId> {
        self.held
            .iter()
            .filter(|(_, held)| held.state == TaskState::Running && !held.lost)
            .map(|(id, _)| id)
    }

    pub fn held(&self) -> impl Iterator<Item = (&TaskId, &Task, TaskState)> {
        self.held.iter().map(|(id, held)| (id, &*held.task, held.state))
    }
}

fn has_container(state: TaskState) -> bool {
    (TaskState::Starting..=TaskState::Running).contains(&state)
}

/// The next state and how long the one after it lies ahead; `None` while nothing happens by itself.
fn next(held: &mut Held, dice: &mut Dice) -> Option<(TaskState, Duration)> {
    if held.must_stop() && !held.state.is_terminal() && !held.stopping {
        held.stopping = true;
        return Some((held.state, dice.millis(1, 40)));
    }
    let task = held.task.clone();
    let image = task.spec.container_spec.as_ref().map_or("", |c| &c.image);
    let (kind, seconds) = image.split_once(':').unwrap_or((image, "0"));
    let seconds = Duration::from_secs(seconds.parse().unwrap_or(0));
    let soon = |dice: &mut Dice| dice.millis(1, 40);
    Some(match held.state {
        state if state.is_terminal() => return None,
        _ if held.stopping => (TaskState::Shutdown, Duration::ZERO),
        _ if held.lost => (TaskState::Failed, Duration::ZERO),
        TaskState::New | TaskState::Pending | TaskState::Assigned => (TaskState::Accepted, Duration::ZERO),
        TaskState::Accepted => match kind {
            "slow" => (TaskState::Preparing, Duration::from_secs(10)),
            _ => (TaskState::Preparing, soon(dice)),
        },
        TaskState::Preparing if kind == "broken" => (TaskState::Rejected, Duration::ZERO),
        TaskState::Preparing => (TaskState::Ready, Duration::ZERO),
        TaskState::Ready if held.task.desired < TaskState::Running => return None,
        TaskState::Ready => (TaskState::Starting, soon(dice)),
        TaskState::Starting => {
            let after = match kind {
                "crash" | "once" => seconds,
                "flaky" => dice.millis(10, 20_000),
                _ => Duration::from_secs(365 * 24 * 3600),
            };
            (TaskState::Running, after)
        }
        TaskState::Running => match kind {
            "crash" => (TaskState::Failed, Duration::ZERO),
            "once" => (TaskState::Complete, Duration::ZERO),
            "flaky" if dice.chance(30) => (TaskState::Failed, Duration::ZERO),
            "flaky" => (TaskState::Running, dice.millis(10, 20_000)),
            _ => return None,
        },
        _ => return None,
    })
}

fn status(held: &Held, now: Time) -> TaskStatus {
    let (message, err) = match held.state {
        TaskState::Accepted => ("accepted", ""),
        TaskState::Preparing => ("preparing", ""),
        TaskState::Ready => ("prepared", ""),
        TaskState::Starting => ("starting", ""),
        TaskState::Running => ("started", ""),
        TaskState::Complete => ("finished", ""),
        TaskState::Shutdown => ("shutdown", ""),
        TaskState::Failed => ("started", "task: non-zero exit (1)"),
        TaskState::Rejected => ("preparing", "No such image"),
        _ => ("", ""),
    };
    TaskStatus {
        state: held.state,
        timestamp: now,
        message: message.into(),
        err: err.into(),
        ..Default::default()
    }
}
