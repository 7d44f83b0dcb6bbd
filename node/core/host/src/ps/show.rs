//! What a process shows in a column.

use super::{Column, Host, Process};
use crate::calendar;
use std::collections::HashMap;

const TICKS: u64 = 100;

impl Column {
    pub fn show(&self, p: &Process, host: &Host) -> String {
        let seconds = p.ticks / TICKS;
        let age = host.uptime.saturating_sub(p.started) / TICKS;
        let user =
            |id: u32, names: &HashMap<u32, String>| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        // In tenths of a percent, as procps counts: of all the time that it has lived.
        let cpu = (p.ticks * 1000)
            .checked_div(host.uptime.saturating_sub(p.started))
            .unwrap_or(0);
        let memory = (p.resident_kib * 1000)
            .checked_div(host.memory_kib)
            .unwrap_or(0)
            .min(999);
        let tenths = |n: u64| format!("{}.{}", n / 10, n % 10);
        match self.what {
            "pid" => p.pid.to_string(),
            "ppid" => p.ppid.to_string(),
            "pgid" => p.pgid.to_string(),
            "sid" => p.sid.to_string(),
            "tpgid" => p.tpgid.to_string(),
            "uid" => p.uids[1].to_string(),
            "ruid" => p.uids[0].to_string(),
            "gid" => p.gids[1].to_string(),
            "rgid" => p.gids[0].to_string(),
            "user" => user(p.uids[1], &host.users),
            "ruser" => user(p.uids[0], &host.users),
            "group" => user(p.gids[1], &host.groups),
            "rgroup" => user(p.gids[0], &host.groups),
            "c" => (cpu / 10).min(99).to_string(),
            "pcpu" => tenths(cpu),
            "pmem" => tenths(memory),
            "vsz" => p.virtual_kib.to_string(),
            "rss" => p.resident_kib.to_string(),
            "sz" => (p.virtual_kib / 4).to_string(),
            "tty" => match p.tty {
                0 => "?".into(),
                tty if (136..=143).contains(&(tty >> 8 & 0xfff)) => {
                    format!("pts/{}", tty & 0xff | tty >> 12 & 0xfff00)
                }
                tty => format!("tty{}", tty & 0xff),
            },
            "stat" => self.stat(p),
            "state" => p.state.clone(),
            "flags" => format!("{:o}", p.flags >> 6 & 7),
            "start" | "stime" | "lstart" => self.began(host.boot + (p.started / TICKS) as i64, age),
            "etime" => elapsed(age),
            "etimes" => age.to_string(),
            "time" => match seconds / 86_400 {
                0 => clock(seconds),
                days => format!("{days}-{}", clock(seconds % 86_400)),
            },
            "bsdtime" => format!("{}:{:02}", seconds / 60, seconds % 60),
            "times" => seconds.to_string(),
            "nlwp" => p.threads.to_string(),
            "pri" => (39 - p.priority).to_string(),
            "opri" => (60 + p.priority).to_string(),
            "ni" => p.nice.to_string(),
            "psr" => p.processor.to_string(),
            "cls" => "TS".into(),
            "wchan" => p.wchan.clone(),
            "majflt" => p.major_faults.to_string(),
            "pending" => p.signals[0].clone(),
            "blocked" => p.signals[1].clone(),
            "ignored" => p.signals[2].clone(),
            "caught" => p.signals[3].clone(),
            "cgroup" => p.cgroup.clone(),
            "comm" => p.name.clone(),
            "args" => p.command.clone(),
            _ => "-".into(),
        }
    }

    fn stat(&self, p: &Process) -> String {
        let mut out = p.state.clone();
        let marks = [
            (p.nice < 0, '<'),
            (p.nice > 0, 'N'),
            (p.locked_kib > 0, 'L'),
            (p.sid == i64::from(p.pid), 's'),
            (p.threads > 1, 'l'),
            (p.tpgid > 0 && p.tpgid == p.pgid, '+'),
        ];
        out.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| mark));
        out
    }

    /// In UTC. Older than a day shows the day.
    fn began(&self, unix: i64, age: u64) -> String {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        let days = unix.div_euclid(86_400);
        let second = unix.rem_euclid(86_400) as u64;
        let (year, month, day) = calendar::date(days);
        let month = MONTHS[(month - 1) as usize];
        match self.what {
            "lstart" => format!(
                "{} {month} {day:2} {} {year}",
                DAYS[days.rem_euclid(7) as usize],
                clock(second)
            ),
            "start" if age < 86_400 => clock(second),
            "start" => format!("{month} {day:02}"),
            _ if age < 86_400 => clock(second)[..5].into(),
            _ => format!("{month}{day:02}"),
        }
    }
}

fn clock(seconds: u64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// `[[days-]hours:]minutes:seconds`
fn elapsed(seconds: u64) -> String {
    let text = clock(seconds % 86_400);
    match seconds {
        0..3600 => text[3..].into(),
        3600..86_400 => text,
        _ => format!("{}-{text}", seconds / 86_400),
    }
}
