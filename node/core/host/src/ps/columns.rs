//! Which columns are asked for.

/// A title and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: String,
    pub(super) what: &'static str,
}

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
