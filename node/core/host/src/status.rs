//! The texts of `docker ps`: how long ago, and in which state.

use crate::lifecycle::{Phase, State, Time};

/// Health as the status line shows it.
pub fn status(state: &State, health: Option<&str>, now: Time) -> String {
    let since = |t: Time| human_duration(now.ms_since(t).max(0));
    match state.phase {
        Phase::Running => match health {
            Some("starting") => format!("Up {} (health: starting)", since(state.started_at)),
            Some(health) if health != "none" => format!("Up {} ({health})", since(state.started_at)),
            _ => format!("Up {}", since(state.started_at)),
        },
        Phase::Paused => format!("Up {} (Paused)", since(state.started_at)),
        Phase::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(state.finished_at)
        ),
        Phase::Removing => "Removal In Progress".into(),
        Phase::Dead => "Dead".into(),
        Phase::Created => "Created".into(),
        Phase::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
    }
}

/// Docker's rounding of a duration for people.
pub fn human_duration(ms: i64) -> String {
    let seconds = ms / 1000;
    let minutes = seconds / 60;
    let hours = (ms as f64 / 3_600_000.0 + 0.5) as i64;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_as_docker_rounds() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (61, "About a minute"),
            (3 * 60, "3 minutes"),
            (3600, "About an hour"),
            (47 * 3600, "47 hours"),
            (3 * 86400, "3 days"),
            (20 * 86400, "2 weeks"),
            (90 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(human_duration(seconds * 1000), text);
        }
    }

    #[test]
    #[allow(clippy::field_reassign_with_default)] // the machine's own fields are private to it
    fn states_read_as_in_ps() {
        let mut s = State::default();
        s.phase = Phase::Running;
        s.started_at = Time(1);
        let now = Time(1).plus_ms(3000);
        assert_eq!(status(&s, None, now), "Up 3 seconds");
        assert_eq!(status(&s, Some("healthy"), now), "Up 3 seconds (healthy)");
        s.phase = Phase::Exited;
        s.finished_at = Time(1);
        assert_eq!(
            status(&s, None, Time(1).plus_ms(120_000)),
            "Exited (0) 2 minutes ago"
        );
    }
}
