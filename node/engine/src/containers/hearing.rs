//! Whether a container's first process would hear a signal yet.
//!
//! The kernel drops what reaches the init of a pid namespace before it has a handler (pid_namespaces(7)). A container that
//! is stopped right after its start would then sit its whole timeout out and be killed.

use super::Handle;
use crate::clock;
use std::time::Duration;

/// A process that has no handler this long after its start is taken not to want one.
const PATIENCE: Duration = Duration::from_millis(500);
const LOOK_MAX: Duration = Duration::from_millis(20);

/// Returns when `signal` would be heard, when the container is no longer young, or when it does not run.
pub(super) async fn heard(handle: &Handle, signal: i32) {
    let mut look = Duration::from_micros(500);
    loop {
        let view = handle.view();
        let left = clock::until(view.state.started_at.plus_ms(PATIENCE.as_millis() as u64));
        if !view.state.phase.is_live() || left.is_zero() {
            return;
        }
        match std::fs::read_to_string(format!("/proc/{}/status", view.state.pid)) {
            Ok(status) if !hears(&status, signal) => tokio::time::sleep(look.min(left)).await,
            _ => return,
        }
        look = (look * 2).min(LOOK_MAX);
    }
}

/// By `/proc/<pid>/status` (proc_pid_status(5)): the process handles, blocks or ignores the signal, or is no init, on which
/// the default action works. True also of a status that cannot be read.
fn hears(status: &str, signal: i32) -> bool {
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
    let is_init = field("NSpid:").and_then(|pids| pids.split_whitespace().last()) == Some("1");
    let Some(bit) = u32::try_from(signal - 1).ok().filter(|bit| *bit < 64) else {
        return true;
    };
    let has = |name| {
        field(name)
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .is_none_or(|mask| mask >> bit & 1 == 1)
    };
    // SIGKILL and SIGSTOP from outside work on everybody.
    !is_init || matches!(signal, 9 | 19) || has("SigCgt:") || has("SigBlk:") || has("SigIgn:")
}

#[cfg(test)]
mod tests {
    use super::hears;

    fn status(pids: &str, blocked: u64, ignored: u64, caught: u64) -> String {
        format!(
            "Name:\tx\nNSpid:\t{pids}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"
        )
    }

    #[test]
    fn an_init_hears_what_it_handles_and_others_hear_everything() {
        let term = 1 << 14;
        assert!(!hears(&status("77 1", 0, 0, 0), 15));
        assert!(!hears(&status("77 1", 0, 0, 1 << 13), 15));
        for (blocked, ignored, caught) in [(term, 0, 0), (0, term, 0), (0, 0, term)] {
            assert!(hears(&status("77 1", blocked, ignored, caught), 15));
        }
        assert!(hears(&status("77 1", 0, 0, 0), 9) && hears(&status("77", 0, 0, 0), 15));
        assert!(hears("", 15) && hears(&status("77 1", 0, 0, 0), 0) && hears(&status("77 1", 0, 0, 0), 900));
    }
}
