//! Status reports: late, repeated and reordered ones must do no harm.

use super::At;
use crate::state::{Holds, State};
use shoal_raft_objects::{Event, NodeId, Object, Task, TaskId, TaskState, TaskStatus};
use std::sync::Arc;

impl State {
    /// Takes a report that is further on than what is stored, or that says more about the same living state.
    pub(super) fn merge_status(&mut self, at: At, id: &TaskId, report: &TaskStatus) -> Option<Event> {
        let old = self.tasks.get(id)?.clone();
        let known = &old.status;
        if report.state < known.state || (report.state == known.state && known.state.is_terminal()) {
            return None;
        }
        let mut status = report.clone();
        // How it ended does not unsay which container it was.
        if status.container.is_none() {
            status.container.clone_from(&known.container);
        }
        if status == *known {
            return None;
        }
        let mut new = Task::clone(&old);
        new.status = status;
        new.meta.touched = at.index;
        new.meta.updated_at = at.time;
        Holds::<Task>::put(self, Arc::new(new.clone()));
        Some(Event::Updated {
            old: Object::from(Task::clone(&old)),
            new: Object::from(new),
        })
    }

    /// Takes what the managers want of a task, if that is further on than what they wanted before.
    pub(super) fn merge_desired(&mut self, at: At, id: &TaskId, desired: TaskState) -> Option<Event> {
        self.merge(at, id, |task| task.desired = task.desired.max(desired))
    }

    /// Takes note that nobody sends anything new to the task, as far as nodes are heard.
    pub(super) fn merge_drained(&mut self, at: At, id: &TaskId, unheard: &[NodeId]) -> Option<Event> {
        self.merge(at, id, |task| {
            task.drained = true;
            task.unheard = unheard.to_vec();
        })
    }

    fn merge(&mut self, at: At, id: &TaskId, change: impl FnOnce(&mut Task)) -> Option<Event> {
        let old = self.tasks.get(id)?.clone();
        let mut new = Task::clone(&old);
        change(&mut new);
        if new == *old {
            return None;
        }
        new.meta.touched = at.index;
        new.meta.updated_at = at.time;
        Holds::<Task>::put(self, Arc::new(new.clone()));
        Some(Event::Updated {
            old: Object::from(Task::clone(&old)),
            new: Object::from(new),
        })
    }
}
