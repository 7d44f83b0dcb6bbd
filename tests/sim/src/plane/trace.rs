//! What a trace shows of an event.

use shoal_raft_objects::{Event, Object};

/// One line.
pub(super) fn line(event: &Event) -> String {
    match event {
        Event::Created(Object::Task(t)) => {
            format!(
                "+ {} on {} {}/{}",
                t.name(),
                t.node_id,
                t.desired.name(),
                t.status.state.name()
            )
        }
        Event::Updated {
            new: Object::Task(t), ..
        } => {
            format!(
                "  {} on {} {}/{}",
                t.name(),
                t.node_id,
                t.desired.name(),
                t.status.state.name()
            )
        }
        Event::Deleted(Object::Task(t)) => format!("- {}", t.name()),
        other => format!("  {:?} {}", other.object().kind(), other.object().id()),
    }
}
