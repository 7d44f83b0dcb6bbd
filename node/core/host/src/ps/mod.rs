//! `ps` for `docker top`: which columns its arguments ask for, and what one process shows in them. Docker runs the host's
//! own `ps`; the layouts and column names here are those of procps.

mod columns;
mod show;

pub use columns::{Column, columns};

use std::collections::HashMap;

/// What is known of one process. Times in clock ticks of 1/100 s, sizes in KiB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub pid: i32,
    pub ppid: i64,
    pub pgid: i64,
    pub sid: i64,
    /// Of the terminal's foreground.
    pub tpgid: i64,
    pub tty: i64,
    pub flags: u64,
    pub major_faults: u64,
    pub state: String,
    pub ticks: u64,
    /// Since the host's boot.
    pub started: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: u64,
    pub virtual_kib: u64,
    pub resident_kib: u64,
    pub locked_kib: u64,
    pub processor: u64,
    pub wchan: String,
    pub name: String,
    /// The whole command line, or `[name]`.
    pub command: String,
    /// Real, effective.
    pub uids: [u32; 2],
    pub gids: [u32; 2],
    /// Pending, blocked, ignored, caught.
    pub signals: [String; 4],
    pub cgroup: String,
}

/// What is known of the host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Unix seconds of its boot.
    pub boot: i64,
    /// Clock ticks since its boot.
    pub uptime: u64,
    pub memory_kib: u64,
    pub users: HashMap<u32, String>,
    pub groups: HashMap<u32, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(args: &str) -> String {
        match columns(args) {
            Ok(list) => list.iter().map(|c| c.title.clone()).collect::<Vec<_>>().join(" "),
            Err(e) => e,
        }
    }

    #[test]
    fn arguments_as_procps_reads_them() {
        for (args, expected) in [
            ("", "UID PID PPID C STIME TTY TIME CMD"),
            ("-ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("--forest -ww -ef", "UID PID PPID C STIME TTY TIME CMD"),
            ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            ("-x", "PID TTY STAT TIME COMMAND"),
            ("-e", "PID TTY TIME CMD"),
            ("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD"),
            ("-ely", "S UID PID PPID C PRI NI RSS SZ WCHAN TTY TIME CMD"),
            ("-F", "UID PID PPID C SZ RSS PSR STIME TTY TIME CMD"),
            ("-Lf", "UID PID PPID LWP C NLWP STIME TTY TIME CMD"),
            ("-j", "PID PGID SID TTY TIME CMD"),
            (
                "s",
                "UID PID PENDING BLOCKED IGNORED CAUGHT STAT TTY TIME COMMAND",
            ),
            ("-eo pid,cmd", "PID CMD"),
            ("axo pid,etime", "PID ELAPSED"),
            ("-opid,comm", "PID COMMAND"),
            ("-o pid -o comm", "PID COMMAND"),
            ("-o pid,tty,user,args", "PID TT USER COMMAND"),
            ("-o comm", "Couldn't find PID field in ps output"),
            ("-o pid=P,comm", "Couldn't find PID field in ps output"),
            (
                "-o pid,nosuch",
                "ps: error: unknown user-defined format specifier \"nosuch\"",
            ),
            ("--nosuch", "ps: error: unknown gnu long option"),
        ] {
            assert_eq!(titles(args), expected, "{args:?}");
        }
    }

    #[test]
    fn what_a_process_shows() {
        let p = Process {
            pid: 7,
            sid: 7,
            state: "S".into(),
            ticks: 100 * 3725,
            started: 0,
            nice: 5,
            tty: 34816 + 3,
            resident_kib: 500,
            ..Process::default()
        };
        let host = Host {
            boot: 1_763_721_600,
            uptime: 100 * 7450,
            memory_kib: 1000,
            users: HashMap::from([(0, "root".into())]),
            ..Host::default()
        };
        let show = |list: &str| {
            let columns = columns(&format!("-o pid,{list}")).expect("known");
            columns[1..]
                .iter()
                .map(|c| c.show(&p, &host))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            show("stat,time,bsdtime,etime,tty,user"),
            "SNs 01:02:05 62:05 02:04:10 pts/3 root"
        );
        assert_eq!(show("pcpu,pmem,c"), "50.0 50.0 50");
        assert_eq!(show("stime"), "10:40");
        assert_eq!(show("lstart"), "Fri Nov 21 10:40:00 2025");
    }
}
