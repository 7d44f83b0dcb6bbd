//! Before a task is stopped, it leaves every node's tables, and every node has said so.

use crate::draft::Draft;
use crate::memory::Memory;
use crate::step::earliest;
use crate::task::{is_over, is_wanted};
use shoal_raft_objects::{Task, TaskId, Time};
use std::time::Duration;

/// Docker's, for a task that says nothing of its stop.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What nodes get even where the task itself is to be killed at once.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// The task is to be stopped and nodes may still send to it.
pub(crate) fn is_draining(task: &Task) -> bool {
    !task.networks.is_empty() && !task.drained && !is_wanted(task) && !is_over(task)
}

/// Lets tasks be stopped whose end every node has acknowledged. Answers when the next waits in vain.
pub(crate) fn drain(draft: &mut Draft<'_>, memory: &Memory) -> Option<Time> {
    let acknowledged = memory.acknowledged(draft.state());
    let mut wake_at = None;
    let ids: Vec<TaskId> = memory.draining.iter().cloned().collect();
    for id in ids {
        let Some(task) = draft.state().task(&id).cloned() else {
            continue;
        };
        if !is_draining(&task) || task.node_id.is_empty() {
            continue;
        }
        let until = task.meta.updated_at.after(patience(&task));
        if acknowledged >= task.meta.touched {
            draft.drained(&task, Vec::new());
        } else if until <= draft.now {
            let unheard = memory.unheard(draft.state(), task.meta.touched);
            draft.drained(&task, unheard);
        } else {
            wake_at = earliest(wake_at, Some(until));
        }
    }
    wake_at
}

/// How long a node that does not acknowledge holds the stop up: as long as the user lets the stop itself take.
fn patience(task: &Task) -> Duration {
    let container = task.spec.container_spec.as_ref();
    let grace = container
        .and_then(|c| c.stop_grace_period)
        .map_or(STOP_GRACE, |ns| {
            Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
        });
    grace.max(PATIENCE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::service::ContainerSpec;
    use shoal_raft_objects::{Attachment, Node, NodeState, Object, Proposal, TaskState, Write};
    use shoal_raft_store::{Outcome, State};

    const SECOND: Duration = Duration::from_secs(1);

    /// Two nodes that are up, and a task that is to be stopped since time 0, log index 2.
    fn world(grace: Option<Duration>) -> (State, Memory) {
        let mut state = State::default();
        let nodes = ["n1", "n2"].map(|id| {
            let mut node = Node {
                id: id.into(),
                ..Default::default()
            };
            node.status.state = NodeState::Ready;
            Write::Create(node.into())
        });
        let mut task = Task {
            id: "t".into(),
            node_id: "n1".into(),
            networks: vec![Attachment {
                network: "net".into(),
                address: [10, 0, 0, 2].into(),
                prefix_len: 24,
                address6: None,
                mac: [2; 6],
                aliases: Vec::new(),
            }],
            desired: TaskState::Shutdown,
            ..Default::default()
        };
        task.status.state = TaskState::Running;
        task.spec.container_spec = Some(ContainerSpec {
            stop_grace_period: grace.map(|g| g.as_nanos() as i64),
            ..Default::default()
        });
        let mut apply = |index, writes: Vec<Write>| {
            let proposal = Proposal {
                at: Time::default(),
                writes,
            };
            let outcome = state.apply(index, &proposal);
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        };
        apply(1, nodes.to_vec());
        apply(2, vec![Write::Create(Object::from(task))]);
        let mut memory = Memory::new(Time::default());
        memory.draining.insert("t".into());
        (state, memory)
    }

    /// What is decided so long after the task was to be stopped: the nodes unheard, if it is let go.
    fn after(state: &State, memory: &Memory, time: Duration) -> Option<Vec<String>> {
        let mut draft = Draft::new(state, Time::default().after(time));
        drain(&mut draft, memory);
        let task = draft.state().task(&"t".into()).cloned()?;
        let unheard = task.unheard.iter().map(ToString::to_string).collect();
        task.drained.then_some(unheard)
    }

    #[test]
    fn a_task_is_let_go_when_every_node_has_said_so_or_its_own_grace_is_over() {
        let (state, mut memory) = world(Some(30 * SECOND));
        memory.laid(&"n1".into(), 2);
        assert_eq!(after(&state, &memory, 29 * SECOND), None);
        assert_eq!(after(&state, &memory, 30 * SECOND), Some(vec!["n2".to_owned()]));
        memory.laid(&"n2".into(), 2);
        assert_eq!(after(&state, &memory, SECOND), Some(Vec::new()));
    }

    #[test]
    fn without_a_grace_it_is_dockers_and_with_none_at_all_a_second() {
        let (state, memory) = world(None);
        assert_eq!(after(&state, &memory, 9 * SECOND), None);
        assert_eq!(after(&state, &memory, 10 * SECOND).map(|u| u.len()), Some(2));
        let (state, memory) = world(Some(Duration::ZERO));
        assert_eq!(after(&state, &memory, SECOND / 2), None);
        assert_eq!(after(&state, &memory, SECOND).map(|u| u.len()), Some(2));
    }
}
