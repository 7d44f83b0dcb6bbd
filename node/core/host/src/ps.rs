//! `ps` for `docker top`: which columns its arguments ask for, and what one process shows in them. Docker runs the host's
//! own `ps`; the layouts and column names here are those of procps.

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

/// A title and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: String,
    what: &'static str,
}

const TICKS: u64 = 100;

/// (what `-o` calls it, what it is, title)
const KNOWN: &[(&str, &str, &str)] = &[
    ("pid", "pid", "PID"),
    ("ppid", "ppid", "PPID"),
    ("pgid", "pgid", "PGID"),
    ("pgrp", "pgid", "PGRP"),
    ("sid", "sid", "SID"),
    ("sess", "sid", "SESS"),
    ("session", "sid", "SESS"),
    ("tpgid", "tpgid", "TPGID"),
    ("tgid", "pid", "TGID"),
    ("lwp", "pid", "LWP"),
    ("tid", "pid", "TID"),
    ("uid", "uid", "UID"),
    ("euid", "uid", "EUID"),
    ("ruid", "ruid", "RUID"),
    ("gid", "gid", "GID"),
    ("egid", "gid", "EGID"),
    ("rgid", "rgid", "RGID"),
    ("user", "user", "USER"),
    ("uname", "user", "USER"),
    ("euser", "user", "EUSER"),
    ("ruser", "ruser", "RUSER"),
    ("group", "group", "GROUP"),
    ("egroup", "group", "EGROUP"),
    ("rgroup", "rgroup", "RGROUP"),
    ("c", "c", "C"),
    ("pcpu", "pcpu", "%CPU"),
    ("%cpu", "pcpu", "%CPU"),
    ("pmem", "pmem", "%MEM"),
    ("%mem", "pmem", "%MEM"),
    ("vsz", "vsz", "VSZ"),
    ("vsize", "vsz", "VSZ"),
    ("rss", "rss", "RSS"),
    ("rssize", "rss", "RSS"),
    ("sz", "sz", "SZ"),
    ("tty", "tty", "TT"),
    ("tt", "tty", "TT"),
    ("tname", "tty", "TTY"),
    ("stat", "stat", "STAT"),
    ("state", "state", "S"),
    ("s", "state", "S"),
    ("f", "flags", "F"),
    ("flags", "flags", "F"),
    ("start", "start", "STARTED"),
    ("stime", "stime", "STIME"),
    ("lstart", "lstart", "STARTED"),
    ("etime", "etime", "ELAPSED"),
    ("etimes", "etimes", "ELAPSED"),
    ("time", "time", "TIME"),
    ("cputime", "time", "TIME"),
    ("bsdtime", "bsdtime", "TIME"),
    ("times", "times", "TIME"),
    ("cputimes", "times", "TIME"),
    ("nlwp", "nlwp", "NLWP"),
    ("thcount", "nlwp", "THCNT"),
    ("pri", "pri", "PRI"),
    ("ni", "ni", "NI"),
    ("nice", "ni", "NI"),
    ("psr", "psr", "PSR"),
    ("cls", "cls", "CLS"),
    ("wchan", "wchan", "WCHAN"),
    ("majflt", "majflt", "MAJFL"),
    ("maj_flt", "majflt", "MAJFL"),
    ("pending", "pending", "PENDING"),
    ("blocked", "blocked", "BLOCKED"),
    ("ignored", "ignored", "IGNORED"),
    ("caught", "caught", "CAUGHT"),
    ("cgroup", "cgroup", "CGROUP"),
    ("comm", "comm", "COMMAND"),
    ("ucmd", "comm", "CMD"),
    ("ucomm", "comm", "COMMAND"),
    ("args", "args", "COMMAND"),
    ("command", "args", "COMMAND"),
    ("cmd", "args", "CMD"),
];

fn layout(list: &[(&'static str, &str)]) -> Vec<Column> {
    let column = |(what, title): &(&'static str, &str)| Column {
        title: (*title).into(),
        what,
    };
    list.iter().map(column).collect()
}

/// The columns that the arguments ask for; Docker's words, or a clear refusal.
pub fn columns(args: &str) -> Result<Vec<Column>, String> {
    let mut chosen: Vec<Column> = Vec::new();
    let (mut dashed, mut bsd) = (String::new(), String::new());
    let mut words = args.split_whitespace();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            match long {
                "forest" | "cumulative" | "headers" => continue,
                long if long.starts_with("sort=") => continue,
                long if long.starts_with("format=") => {
                    chosen.extend(named(&long["format=".len()..])?);
                    continue;
                }
                _ => return Err("ps: error: unknown gnu long option".into()),
            }
        }
        let (flags, letters) = match word.strip_prefix('-') {
            Some(letters) => (&mut dashed, letters),
            None => (&mut bsd, word),
        };
        for (at, letter) in letters.char_indices() {
            match letter {
                'o' | 'O' => {
                    let list = match &letters[at + 1..] {
                        "" => words
                            .next()
                            .ok_or("ps: error: format specification must follow -o")?,
                        list => list,
                    };
                    chosen.extend(named(list)?);
                    break;
                }
                'e' | 'A' | 'a' | 'd' | 'w' | 'x' | 'H' | 'r' | 'y' | 'c' | 'f' | 'F' | 'l' | 'j' | 'L'
                | 'u' | 'v' | 's' | 'm' => {
                    flags.push(letter);
                }
                _ => {
                    return Err(format!(
                        "ps: the option {letter:?} in {word:?} is not known to this engine"
                    ));
                }
            }
        }
    }
    let out = if chosen.is_empty() {
        standard(&dashed, &bsd)
    } else {
        chosen
    };
    match out.iter().any(|c| c.title == "PID") {
        true => Ok(out),
        false => Err("Couldn't find PID field in ps output".into()),
    }
}

/// The layouts that have a letter.
fn standard(dashed: &str, bsd: &str) -> Vec<Column> {
    let has = |letter| dashed.contains(letter);
    let bsd_words = !bsd.is_empty() || has('x') || has('u') || has('v');
    if dashed.is_empty() && bsd.is_empty() {
        // Docker itself asks for `-ef` when nobody asks for anything.
        return standard("ef", "");
    }
    if bsd_words {
        let either = |letter| bsd.contains(letter) || has(letter);
        return layout(match () {
            () if either('u') => &[
                ("user", "USER"),
                ("pid", "PID"),
                ("pcpu", "%CPU"),
                ("pmem", "%MEM"),
                ("vsz", "VSZ"),
                ("rss", "RSS"),
                ("tty", "TTY"),
                ("stat", "STAT"),
                ("stime", "START"),
                ("bsdtime", "TIME"),
                ("args", "COMMAND"),
            ],
            () if either('l') => &[
                ("flags", "F"),
                ("uid", "UID"),
                ("pid", "PID"),
                ("ppid", "PPID"),
                ("pri", "PRI"),
                ("ni", "NI"),
                ("vsz", "VSZ"),
                ("rss", "RSS"),
                ("wchan", "WCHAN"),
                ("stat", "STAT"),
                ("tty", "TTY"),
                ("bsdtime", "TIME"),
                ("args", "COMMAND"),
            ],
            () if either('j') => &[
                ("ppid", "PPID"),
                ("pid", "PID"),
                ("pgid", "PGID"),
                ("sid", "SID"),
                ("tty", "TTY"),
                ("tpgid", "TPGID"),
                ("stat", "STAT"),
                ("uid", "UID"),
                ("bsdtime", "TIME"),
                ("args", "COMMAND"),
            ],
            () if either('s') => &[
                ("uid", "UID"),
                ("pid", "PID"),
                ("pending", "PENDING"),
                ("blocked", "BLOCKED"),
                ("ignored", "IGNORED"),
                ("caught", "CAUGHT"),
                ("stat", "STAT"),
                ("tty", "TTY"),
                ("bsdtime", "TIME"),
                ("args", "COMMAND"),
            ],
            () => &[
                ("pid", "PID"),
                ("tty", "TTY"),
                ("stat", "STAT"),
                ("bsdtime", "TIME"),
                ("args", "COMMAND"),
            ],
        });
    }
    let full = has('f') || has('F');
    let mut list: Vec<(&'static str, &str)> = Vec::new();
    if has('l') {
        list.extend(if has('y') {
            &[("state", "S")][..]
        } else {
            &[("flags", "F"), ("state", "S")]
        });
    }
    if full || has('l') {
        list.push((if full { "user" } else { "uid" }, "UID"));
    }
    list.push(("pid", "PID"));
    if full || has('l') {
        list.push(("ppid", "PPID"));
    }
    if has('j') {
        list.extend([("pgid", "PGID"), ("sid", "SID")]);
    }
    if has('L') {
        list.push(("pid", "LWP"));
    }
    if full || has('l') {
        list.push(("c", "C"));
    }
    if has('l') {
        list.extend([("opri", "PRI"), ("ni", "NI")]);
        list.push(if has('y') {
            ("rss", "RSS")
        } else {
            ("none", "ADDR")
        });
        list.extend([("sz", "SZ"), ("wchan", "WCHAN")]);
    }
    if has('F') {
        list.extend([("sz", "SZ"), ("rss", "RSS"), ("psr", "PSR")]);
    }
    if has('L') && full {
        list.push(("nlwp", "NLWP"));
    }
    if full {
        list.push(("stime", "STIME"));
    }
    list.extend([
        ("tty", "TTY"),
        ("time", "TIME"),
        (if full { "args" } else { "comm" }, "CMD"),
    ]);
    layout(&list)
}

/// A list of `-o`; a title of one's own (`pid=P`) takes the rest of the list with it.
fn named(list: &str) -> Result<Vec<Column>, String> {
    let mut out = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let comma = rest.find(',').unwrap_or(rest.len());
        let (name, title, left) = match rest[..comma].find('=') {
            Some(equals) => (&rest[..equals], Some(&rest[equals + 1..]), ""),
            None => (&rest[..comma], None, rest.get(comma + 1..).unwrap_or_default()),
        };
        let known = KNOWN.iter().find(|k| k.0 == name);
        let (_, what, own) =
            known.ok_or_else(|| format!("ps: error: unknown user-defined format specifier {name:?}"))?;
        out.push(Column {
            title: title.unwrap_or(own).into(),
            what,
        });
        rest = left;
    }
    Ok(out)
}

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
        let (year, month, day) = date(days);
        let month = MONTHS[month - 1];
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

/// Year, month, day of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn date(days: i64) -> (i64, usize, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(month <= 2),
        month as usize,
        doy - (153 * mp + 2) / 5 + 1,
    )
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
