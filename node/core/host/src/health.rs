//! Health checks: what the result of one probe makes of a container's health, and when to probe again.

use crate::lifecycle::Time;
use serde::{Deserialize, Serialize};

/// Timing, with Docker's defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub interval_ms: u64,
    pub timeout_ms: u64,
    pub start_period_ms: u64,
    pub start_interval_ms: u64,
    pub retries: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            interval_ms: 30_000,
            timeout_ms: 30_000,
            start_period_ms: 0,
            start_interval_ms: 5_000,
            retries: 3,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: Status,
    pub failing_streak: u64,
}

impl Health {
    /// After one probe that began at `probed_at` and ended with `exit_code`.
    pub fn after(self, exit_code: i32, started_at: Time, probed_at: Time, rules: &Rules) -> Health {
        if exit_code == 0 {
            return Health {
                status: Status::Healthy,
                failing_streak: 0,
            };
        }
        let in_start =
            self.status == Status::Starting && probed_at < started_at.plus_ms(rules.start_period_ms);
        if in_start {
            return self;
        }
        let failing_streak = self.failing_streak + 1;
        let status = if failing_streak >= rules.retries {
            Status::Unhealthy
        } else {
            self.status
        };
        Health {
            status,
            failing_streak,
        }
    }

    /// How long to wait before the next probe, in ms.
    pub fn wait_ms(self, started_at: Time, now: Time, rules: &Rules) -> u64 {
        if self.status == Status::Starting && now < started_at.plus_ms(rules.start_period_ms) {
            rules.start_interval_ms.min(rules.interval_ms)
        } else {
            rules.interval_ms
        }
    }
}

/// As Go writes durations: `1.5s`, `1m0s`, `500ms`.
pub fn duration(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (minutes, rest) = (ms / 60_000, ms % 60_000);
    let fraction = format!(".{:03}", rest % 1000);
    let seconds = format!(
        "{}{}s",
        rest / 1000,
        fraction.trim_end_matches('0').trim_end_matches('.')
    );
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (ms, text) in [
            (500, "500ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (60_000, "1m0s"),
            (3_661_000, "1h1m1s"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn three_failures_make_it_unhealthy_and_one_success_heals() {
        let rules = Rules::default();
        let mut h = Health::default();
        for _ in 0..2 {
            h = h.after(1, Time(1), Time(2), &rules);
            assert_eq!(h.status, Status::Starting);
        }
        h = h.after(1, Time(1), Time(2), &rules);
        assert_eq!((h.status, h.failing_streak), (Status::Unhealthy, 3));
        assert_eq!(
            h.after(0, Time(1), Time(2), &rules),
            Health {
                status: Status::Healthy,
                failing_streak: 0
            }
        );
    }

    #[test]
    fn the_start_period_forgives_and_probes_more_often() {
        let rules = Rules {
            start_period_ms: 1000,
            ..Rules::default()
        };
        let h = Health::default().after(1, Time(1), Time(1).plus_ms(999), &rules);
        assert_eq!(h.failing_streak, 0);
        assert_eq!(h.wait_ms(Time(1), Time(1), &rules), 5_000);
        assert_eq!(h.wait_ms(Time(1), Time(1).plus_ms(1000), &rules), 30_000);
    }
}
