//! One step of the machine.

use super::restart::{Policy, backoff_next};
use super::state::{Phase, State, Time};

/// What of a container's configuration its life depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    pub policy: Policy,
    pub auto_remove: bool,
    /// The signal that a stop sends, from the container or the image.
    pub stop_signal: i32,
    /// A container that its health check finds unhealthy is restarted: an opt-in that Docker lacks.
    pub restart_unhealthy: bool,
}

const SIGKILL: i32 = 9;

/// What follows the end of a process that was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A user's stop: stays stopped.
    Stay,
    /// A user's restart.
    Start,
    /// The daemon goes down: policies apply again at its next start.
    Shutdown,
}

impl Rules {
    /// SIGTERM where neither image nor user names another.
    pub fn signal_to_stop(&self) -> i32 {
        if self.stop_signal > 0 {
            self.stop_signal
        } else {
            15
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stopping {
    pub kill_at: Option<Time>,
    pub then: Then,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Start,
    Launched {
        pid: i32,
        at: Time,
    },
    LaunchFailed {
        exit_code: i32,
        error: String,
    },
    Stop {
        signal: Option<i32>,
        timeout_ms: Option<u64>,
        then: Then,
    },
    Kill {
        signal: i32,
    },
    /// `to_read`: for the time of a commit.
    Pause {
        to_read: bool,
    },
    Unpause,
    Exited {
        exit_code: i32,
        oom_killed: bool,
        at: Time,
        error: String,
    },
    Remove {
        force: bool,
    },
    /// Its health check has just found it unhealthy.
    Unhealthy {
        timeout_ms: Option<u64>,
    },
    /// The directory could not be removed; a later removal may try again.
    RemoveFailed {
        error: String,
    },
    /// At the daemon's start: the process is still there.
    FoundRunning {
        pid: i32,
        at: Time,
    },
    /// At the daemon's start: neither a process nor a recorded end was found.
    FoundNothing,
    /// At the daemon's start, after what was found: apply the restart policy.
    Boot,
    Tick,
}

/// Docker's event actions for a container that the machine itself causes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Start,
    Kill { signal: i32 },
    Die { exit_code: i32, ran_ms: i64 },
    Oom,
    Stop,
    Restart,
    Pause,
    Unpause,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make the process; answer with `Launched` or `LaunchFailed`.
    Launch,
    Signal(i32),
    /// Kill every process of the container.
    KillAll,
    Freeze,
    Thaw,
    /// The process is gone: give back network, ports and mounts.
    Release,
    Persist,
    Emit(Action),
    /// Delete the container and all that belongs to it; answer with `RemoveFailed` if that is impossible.
    Delete {
        volumes: bool,
    },
}

/// Why an input does not fit the state; the verbs turn it into Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    AlreadyRunning,
    NotRunning,
    Paused,
    NotPaused,
    Restarting,
    Removing,
    RemoveRunning,
    RemovePaused,
}

type Answer = Result<(State, Vec<Effect>), Refusal>;

/// The machine. A refusal leaves the state as it was.
pub fn step(state: &State, rules: &Rules, input: Input, now: Time) -> Answer {
    let next = state.clone();
    match input {
        Input::Start => start(next),
        Input::Launched { pid, at } => launched(next, pid, at),
        Input::LaunchFailed { exit_code, error } => launch_failed(next, rules, exit_code, error, now),
        Input::Stop {
            signal,
            timeout_ms,
            then,
        } => stop(next, rules, signal, timeout_ms, then, now),
        Input::Kill { signal } => kill(next, rules, signal),
        Input::Pause { to_read } => pause(next, to_read),
        Input::Unpause => unpause(next),
        Input::Exited {
            exit_code,
            oom_killed,
            at,
            error,
        } => exited(next, rules, exit_code, oom_killed, at, error),
        Input::Remove { force } => remove(next, force),
        Input::Unhealthy { timeout_ms } => unhealthy(next, rules, timeout_ms, now),
        Input::RemoveFailed { error } => remove_failed(next, error),
        Input::FoundRunning { pid, at } => found_running(next, pid, at),
        Input::FoundNothing => found_nothing(next, now),
        Input::Boot => boot(next, rules, now),
        Input::Tick => tick(next, now),
    }
}

fn start(mut s: State) -> Answer {
    match s.phase {
        Phase::Running | Phase::Restarting => Err(Refusal::AlreadyRunning),
        Phase::Paused => Err(Refusal::Paused),
        Phase::Removing | Phase::Dead => Err(Refusal::Removing),
        Phase::Created | Phase::Exited => {
            s.manually_stopped = false;
            s.restart_count = 0;
            s.backoff_ms = 0;
            Ok((s, vec![Effect::Launch]))
        }
    }
}

fn launched(mut s: State, pid: i32, at: Time) -> Answer {
    s.phase = Phase::Running;
    s.pid = pid;
    s.started_at = at;
    s.exit_code = 0;
    s.error.clear();
    s.oom_killed = false;
    s.restart_at = Time::NEVER;
    let restarted = s.stopping.take().is_some_and(|stop| stop.then == Then::Start);
    let mut effects = vec![Effect::Emit(Action::Start)];
    if restarted {
        effects.push(Effect::Emit(Action::Restart));
    }
    effects.push(Effect::Persist);
    Ok((s, effects))
}

fn launch_failed(mut s: State, rules: &Rules, exit_code: i32, error: String, now: Time) -> Answer {
    let restarting = s.phase == Phase::Restarting;
    s.stopping = None;
    s.pid = 0;
    s.exit_code = exit_code;
    s.error = error;
    let mut effects = vec![Effect::Release];
    if restarting && rules.policy.restarts(exit_code, s.restart_count) {
        arm_restart(&mut s, 0, now);
        effects.push(Effect::Persist);
        return Ok((s, effects));
    }
    if restarting {
        s.phase = Phase::Exited;
        s.finished_at = now;
    }
    // As Docker: a container that could never start stays `created`, with the code and the reason.
    effects.push(Effect::Persist);
    if rules.auto_remove {
        s.phase = Phase::Removing;
        effects.push(Effect::Delete { volumes: true });
    }
    Ok((s, effects))
}

fn stop(
    mut s: State,
    rules: &Rules,
    signal: Option<i32>,
    timeout_ms: Option<u64>,
    then: Then,
    now: Time,
) -> Answer {
    match s.phase {
        Phase::Restarting => {
            if then == Then::Start {
                s.stopping = Some(Stopping { kill_at: None, then });
                return Ok((s, vec![Effect::Launch]));
            }
            s.phase = Phase::Exited;
            s.manually_stopped |= then == Then::Stay;
            let mut effects = vec![Effect::Persist];
            if then == Then::Stay {
                effects.push(Effect::Emit(Action::Stop));
            }
            Ok((s, effects))
        }
        Phase::Running | Phase::Paused => {
            let signal = signal.unwrap_or_else(|| rules.signal_to_stop());
            let mut effects = Vec::new();
            if s.phase == Phase::Paused {
                s.phase = Phase::Running;
                effects.push(Effect::Thaw);
            }
            s.manually_stopped |= then == Then::Stay;
            effects.push(Effect::Signal(signal));
            effects.push(Effect::Emit(Action::Kill { signal }));
            s.stopping = Some(Stopping {
                kill_at: timeout_ms.map(|ms| now.plus_ms(ms)),
                then,
            });
            Ok((s, effects))
        }
        Phase::Created | Phase::Exited if then == Then::Start => start(s),
        Phase::Removing | Phase::Dead if then == Then::Start => Err(Refusal::Removing),
        _ => Err(Refusal::NotRunning),
    }
}

/// As a user's restart, but counted with the restarts that nobody asked for. Whoever is stopping it already goes first.
fn unhealthy(mut s: State, rules: &Rules, timeout_ms: Option<u64>, now: Time) -> Answer {
    if !rules.restart_unhealthy || s.phase != Phase::Running || s.is_stopping() || s.remove_on_exit {
        return Ok((s, Vec::new()));
    }
    s.restart_count += 1;
    stop(s, rules, None, timeout_ms, Then::Start, now)
}

fn kill(mut s: State, rules: &Rules, signal: i32) -> Answer {
    match s.phase {
        Phase::Running | Phase::Paused => {
            let mut effects = Vec::new();
            let fatal = signal == SIGKILL || signal == 0 || signal == rules.stop_signal;
            let signal = if signal == 0 { SIGKILL } else { signal };
            if fatal {
                s.manually_stopped = true;
            }
            effects.push(Effect::Signal(signal));
            if s.phase == Phase::Paused && signal == SIGKILL {
                s.phase = Phase::Running;
                effects.push(Effect::Thaw);
            }
            effects.push(Effect::Emit(Action::Kill { signal }));
            Ok((s, effects))
        }
        Phase::Restarting if signal == SIGKILL || signal == 0 || signal == rules.stop_signal => {
            s.phase = Phase::Exited;
            s.manually_stopped = true;
            Ok((s, vec![Effect::Persist]))
        }
        _ => Err(Refusal::NotRunning),
    }
}

fn pause(mut s: State, to_read: bool) -> Answer {
    match s.phase {
        Phase::Running => {
            s.phase = Phase::Paused;
            s.paused_to_read = to_read;
            Ok((
                s,
                vec![Effect::Freeze, Effect::Persist, Effect::Emit(Action::Pause)],
            ))
        }
        Phase::Paused => Err(Refusal::Paused),
        Phase::Restarting => Err(Refusal::Restarting),
        _ => Err(Refusal::NotRunning),
    }
}

fn unpause(mut s: State) -> Answer {
    match s.phase {
        Phase::Paused => {
            s.phase = Phase::Running;
            Ok((
                s,
                vec![Effect::Thaw, Effect::Persist, Effect::Emit(Action::Unpause)],
            ))
        }
        _ => Err(Refusal::NotPaused),
    }
}

fn arm_restart(s: &mut State, ran_ms: i64, now: Time) {
    s.backoff_ms = backoff_next(s.backoff_ms, ran_ms);
    s.restart_count += 1;
    s.phase = Phase::Restarting;
    s.restart_at = now.plus_ms(s.backoff_ms);
}

fn exited(mut s: State, rules: &Rules, exit_code: i32, oom_killed: bool, at: Time, error: String) -> Answer {
    if !s.phase.is_live() {
        return Ok((s, Vec::new()));
    }
    let ran_ms = at.ms_since(s.started_at).max(0);
    s.phase = Phase::Exited;
    s.pid = 0;
    s.exit_code = exit_code;
    s.oom_killed = oom_killed;
    s.error = error;
    s.finished_at = at;
    s.exits += 1;
    let mut effects = Vec::new();
    if oom_killed {
        effects.push(Effect::Emit(Action::Oom));
    }
    effects.push(Effect::Release);
    effects.push(Effect::Emit(Action::Die { exit_code, ran_ms }));
    if s.remove_on_exit {
        s.phase = Phase::Removing;
        effects.push(Effect::Delete { volumes: false });
        return Ok((s, effects));
    }
    let stopping = s.stopping.take();
    let then = stopping.as_ref().map(|stop| stop.then);
    match then {
        Some(Then::Start) => {
            s.stopping = stopping;
            effects.push(Effect::Emit(Action::Stop));
            effects.push(Effect::Launch);
            return Ok((s, effects));
        }
        Some(Then::Stay) => effects.push(Effect::Emit(Action::Stop)),
        Some(Then::Shutdown) => {
            effects.push(Effect::Persist);
            return Ok((s, effects));
        }
        None if !s.manually_stopped && rules.policy.restarts(exit_code, s.restart_count) => {
            arm_restart(&mut s, ran_ms, at);
            effects.push(Effect::Persist);
            return Ok((s, effects));
        }
        None => {}
    }
    if rules.auto_remove {
        s.phase = Phase::Removing;
        effects.push(Effect::Delete { volumes: true });
    } else {
        effects.push(Effect::Persist);
    }
    Ok((s, effects))
}

fn remove(mut s: State, force: bool) -> Answer {
    match s.phase {
        Phase::Removing => Err(Refusal::Removing),
        Phase::Paused if !force => Err(Refusal::RemovePaused),
        Phase::Running | Phase::Restarting if !force => Err(Refusal::RemoveRunning),
        Phase::Running | Phase::Paused => {
            s.manually_stopped = true;
            s.remove_on_exit = true;
            let mut effects = vec![Effect::KillAll];
            if s.phase == Phase::Paused {
                s.phase = Phase::Running;
                effects.push(Effect::Thaw);
            }
            effects.push(Effect::Emit(Action::Kill { signal: SIGKILL }));
            Ok((s, effects))
        }
        Phase::Created | Phase::Exited | Phase::Restarting | Phase::Dead => {
            s.phase = Phase::Removing;
            Ok((s, vec![Effect::Delete { volumes: false }]))
        }
    }
}

fn remove_failed(mut s: State, error: String) -> Answer {
    s.phase = Phase::Dead;
    s.error = error;
    s.remove_on_exit = false;
    Ok((s, vec![Effect::Persist]))
}

fn found_running(mut s: State, pid: i32, at: Time) -> Answer {
    let paused = s.phase == Phase::Paused && !s.paused_to_read;
    s.phase = if paused { Phase::Paused } else { Phase::Running };
    s.pid = pid;
    s.started_at = at;
    s.exit_code = 0;
    s.error.clear();
    // What is written down counts: a pause, an unpause or a commit that was cut short may have left it otherwise, and nobody
    // else would ever thaw it.
    let freezer = if paused { Effect::Freeze } else { Effect::Thaw };
    Ok((s, vec![freezer, Effect::Persist]))
}

fn found_nothing(mut s: State, now: Time) -> Answer {
    match s.phase {
        // Its process and its shim are gone without a record: the host went down. Docker's code for that is 255.
        Phase::Running | Phase::Paused => {
            s.phase = Phase::Exited;
            s.pid = 0;
            s.exit_code = 255;
            s.finished_at = now;
            s.exits += 1;
            Ok((s, vec![Effect::Release, Effect::Persist]))
        }
        Phase::Restarting => {
            s.phase = Phase::Exited;
            Ok((s, Vec::new()))
        }
        Phase::Removing => Ok((s, vec![Effect::Delete { volumes: false }])),
        _ => Ok((s, Vec::new())),
    }
}

fn boot(mut s: State, rules: &Rules, now: Time) -> Answer {
    if !matches!(s.phase, Phase::Created | Phase::Exited) {
        return Ok((s, Vec::new()));
    }
    let started_ever = s.started_at > Time::NEVER;
    if rules
        .policy
        .starts_at_boot(started_ever, s.manually_stopped, s.exit_code, started_ever)
    {
        s.phase = Phase::Restarting;
        s.restart_at = now;
        return Ok((s, Vec::new()));
    }
    if rules.auto_remove && s.phase == Phase::Exited {
        s.phase = Phase::Removing;
        return Ok((s, vec![Effect::Delete { volumes: true }]));
    }
    Ok((s, Vec::new()))
}

fn tick(mut s: State, now: Time) -> Answer {
    let mut effects = Vec::new();
    if let Some(stopping) = &mut s.stopping
        && stopping.kill_at.is_some_and(|at| at <= now)
    {
        stopping.kill_at = None;
        effects.push(Effect::KillAll);
        effects.push(Effect::Emit(Action::Kill { signal: SIGKILL }));
    }
    if s.phase == Phase::Restarting && s.restart_at <= now {
        effects.push(Effect::Launch);
    }
    Ok((s, effects))
}
