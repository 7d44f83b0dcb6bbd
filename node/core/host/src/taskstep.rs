//! One task, one step further: what its node says of it and does next.
//!
//! ```text
//! assigned → accepted → preparing ─prepare→ ready → starting ─start→ running ─wait→ complete | failed
//!                                             └ rests here while only Ready is desired
//! any of them, once Shutdown or more is desired ─shutdown→ shutdown        not assigned any more ─remove→ forgotten
//! ```
//! States only move forward. Called by `node/agent`, which performs the [`Act`] and feeds its [`Outcome`] back.

use shoal_raft_objects::TaskState;

/// What the node shall do now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Fetch the image and create the container.
    Prepare,
    /// Start it; done when it runs (and is healthy, where it has a health check).
    Start,
    /// Wait for its end.
    Wait,
    /// Stop it; done when nothing of it runs.
    Shutdown,
    /// Delete what is left of it. The task is forgotten afterwards.
    Remove,
    /// Nothing until something else is wanted.
    Rest,
}

impl Act {
    /// It brings something to life, so it must not be done on the word of a cluster that was not heard of lately.
    pub fn needs_fresh_orders(self) -> bool {
        matches!(self, Act::Prepare | Act::Start)
    }
}

/// How an act ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    /// The container ended by itself; `error` where the runtime has more to say than the code.
    Ended {
        exit_code: i32,
        error: Option<String>,
    },
    /// It cannot be done, now or later.
    Failed {
        error: String,
    },
}

/// A state to report, in Docker's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub state: TaskState,
    /// Nothing: keep the message as it was.
    pub message: Option<&'static str>,
    pub error: String,
}

impl Report {
    fn new(state: TaskState, message: &'static str) -> Self {
        Self {
            state,
            message: Some(message),
            error: String::new(),
        }
    }
}

/// Report first, then act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub report: Option<Report>,
    pub act: Act,
}

/// The next step of a task that has come to `state`. `assigned` is false once the cluster has taken it from this
/// node, whatever is desired of it.
pub fn step(state: TaskState, desired: TaskState, assigned: bool) -> Step {
    let act = |act| Step { report: None, act };
    if !assigned {
        return act(if state.is_terminal() {
            Act::Remove
        } else {
            Act::Shutdown
        });
    }
    if state.is_terminal() {
        // What is left stays for logs and inspection until the cluster forgets the task.
        return act(Act::Rest);
    }
    if desired >= TaskState::Shutdown {
        return act(Act::Shutdown);
    }
    let say = |state, message, act| Step {
        report: Some(Report::new(state, message)),
        act,
    };
    match state {
        s if s < TaskState::Accepted => say(TaskState::Accepted, "accepted", Act::Rest),
        s if s < TaskState::Preparing => say(TaskState::Preparing, "preparing", Act::Prepare),
        s if s < TaskState::Ready => act(Act::Prepare),
        s if s < TaskState::Starting => {
            if desired <= TaskState::Ready {
                act(Act::Rest)
            } else {
                say(TaskState::Starting, "starting", Act::Start)
            }
        }
        s if s < TaskState::Running => act(Act::Start),
        _ => act(Act::Wait),
    }
}

/// What to report after `act`, done in `state`, ended. Nothing for a removal: there is nobody left to report on.
pub fn settle(state: TaskState, act: Act, outcome: &Outcome) -> Option<Report> {
    match (act, outcome) {
        (Act::Rest | Act::Remove, _) => None,
        (Act::Shutdown, _) => Some(Report::new(TaskState::Shutdown, "shutdown")),
        (_, Outcome::Failed { error }) => Some(Report {
            state: failure(state),
            message: None,
            error: error.clone(),
        }),
        (
            _,
            Outcome::Ended {
                exit_code: 0,
                error: None,
            },
        ) => Some(Report::new(TaskState::Complete, "finished")),
        (_, Outcome::Ended { exit_code, error }) => Some(Report {
            state: failure(state),
            message: None,
            error: match error {
                Some(error) => format!("task: non-zero exit ({exit_code}): {error}"),
                None => format!("task: non-zero exit ({exit_code})"),
            },
        }),
        (Act::Prepare, Outcome::Done) => Some(Report::new(TaskState::Ready, "prepared")),
        (Act::Start, Outcome::Done) => Some(Report::new(TaskState::Running, "started")),
        (Act::Wait, Outcome::Done) => Some(Report::new(TaskState::Complete, "finished")),
    }
}

/// Before it was started a task is rejected, afterwards it has failed.
fn failure(state: TaskState) -> TaskState {
    if state < TaskState::Starting {
        TaskState::Rejected
    } else {
        TaskState::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks a task until it rests, with every act answered by `answer`; the trace in words.
    fn walk(mut state: TaskState, desired: TaskState, assigned: bool, answer: fn(Act) -> Outcome) -> String {
        let mut trace = Vec::new();
        for _ in 0..20 {
            let step = step(state, desired, assigned);
            let reported = step.report.is_some();
            if let Some(report) = step.report {
                assert!(report.state > state, "states move forward");
                state = report.state;
                trace.push(state.name().to_owned());
            }
            match step.act {
                Act::Rest if reported => continue,
                Act::Rest => break,
                act => {
                    trace.push(format!("{act:?}"));
                    let outcome = answer(act);
                    match settle(state, act, &outcome) {
                        Some(report) => {
                            assert!(report.state > state, "states move forward");
                            state = report.state;
                            trace.push(format!("{} {}", state.name(), report.error).trim().to_owned());
                        }
                        None => break,
                    }
                }
            }
        }
        trace.join(" ")
    }

    fn fine(act: Act) -> Outcome {
        match act {
            Act::Wait => Outcome::Ended {
                exit_code: 0,
                error: None,
            },
            _ => Outcome::Done,
        }
    }

    fn broken(act: Act) -> Outcome {
        match act {
            Act::Wait => Outcome::Ended {
                exit_code: 3,
                error: None,
            },
            _ => Outcome::Failed {
                error: "no such image".into(),
            },
        }
    }

    #[test]
    fn stories() {
        use TaskState::*;
        let walk_all = walk(Assigned, Running, true, fine);
        assert_eq!(
            walk_all,
            "accepted preparing Prepare ready starting Start running Wait complete"
        );
        assert_eq!(
            walk(Assigned, Ready, true, fine),
            "accepted preparing Prepare ready"
        );
        assert_eq!(
            walk(Assigned, Running, true, broken),
            "accepted preparing Prepare rejected no such image"
        );
        assert_eq!(
            walk(Starting, Running, true, broken),
            "Start failed no such image"
        );
        assert_eq!(
            walk(Running, Running, true, broken),
            "Wait failed task: non-zero exit (3)"
        );
        assert_eq!(walk(Running, Shutdown, true, fine), "Shutdown shutdown");
        assert_eq!(walk(Assigned, Remove, true, fine), "Shutdown shutdown");
        assert_eq!(walk(Failed, Shutdown, true, fine), "");
        assert_eq!(walk(Running, Running, false, fine), "Shutdown shutdown Remove");
        assert_eq!(walk(Complete, Running, false, fine), "Remove");
    }

    #[test]
    fn only_what_brings_to_life_needs_fresh_orders() {
        for act in [Act::Prepare, Act::Start] {
            assert!(act.needs_fresh_orders());
        }
        for act in [Act::Wait, Act::Shutdown, Act::Remove, Act::Rest] {
            assert!(!act.needs_fresh_orders());
        }
    }
}
