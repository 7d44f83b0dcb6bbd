//! `docker top`: the container's processes read from /proc, in the columns that `ps` would print.

use super::Containers;
use crate::error::{Result, conflict, invalid, system};
use shoal_api_types::container::TopResponse;
use shoal_node_core_host::lifecycle::Phase;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

const TICKS_PER_SECOND: u64 = 100;
/// `-ef`
const FULL: [&str; 8] = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
/// `aux`
const AUX: [&str; 11] = [
    "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND",
];

impl Containers {
    pub async fn top(&self, reference: &str, ps_args: &str) -> Result<TopResponse> {
        let handle = self.kit.registry.get(reference)?;
        let view = handle.view();
        match view.phase() {
            Phase::Running | Phase::Paused => {}
            Phase::Restarting => {
                return Err(conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    handle.id()
                )));
            }
            _ => return Err(conflict(format!("container {} is not running", handle.id()))),
        }
        let titles = columns(ps_args)?;
        let pids = self
            .kit
            .cgroup(&view.record)?
            .pids()
            .map_err(|e| system(e.to_string()))?;
        let answer = crate::launch::blocking(move || {
            let names = names();
            let boot = boot_time();
            // The last column of `aux` has the name of another one.
            let aux = titles.len() == AUX.len();
            let processes = pids
                .into_iter()
                .filter_map(Process::read)
                .map(|p| titles.iter().map(|t| p.column(t, &names, boot, aux)).collect())
                .collect();
            Ok(TopResponse { titles, processes })
        })
        .await?;
        let attributes = super::attributes(&view.record);
        self.kit
            .events
            .publish("container", "top", handle.id(), attributes);
        Ok(answer)
    }
}

fn columns(args: &str) -> Result<Vec<String>> {
    let own = |list: &[&str]| list.iter().map(|t| t.to_string()).collect();
    let words: Vec<&str> = args.split_whitespace().collect();
    match words.as_slice() {
        [] | ["-ef"] | ["ef"] | ["-e", "-f"] | ["-f"] => return Ok(own(&FULL)),
        ["aux"] | ["-aux"] | ["au"] | ["axu"] => return Ok(own(&AUX)),
        _ => {}
    }
    let mut out = Vec::new();
    let mut rest = words.into_iter();
    while let Some(word) = rest.next() {
        let list = match word {
            "-o" | "o" | "-eo" | "-axo" | "axo" => rest.next().unwrap_or_default(),
            "-e" | "-A" | "ax" => continue,
            word => match word.strip_prefix("-o") {
                Some(list) => list,
                None => return Err(invalid(format!("unsupported ps argument {word:?}"))),
            },
        };
        for column in list.split(',').filter(|c| !c.is_empty()) {
            let title = match column {
                "pid" | "ppid" | "uid" | "user" | "tty" | "stat" | "time" | "rss" | "vsz" => {
                    column.to_uppercase()
                }
                "comm" | "ucmd" => "COMMAND".into(),
                "cmd" => "CMD".into(),
                "args" | "command" => "ARGS".into(),
                "pcpu" | "%cpu" => "%CPU".into(),
                "pmem" | "%mem" => "%MEM".into(),
                "stime" | "start" | "etime" => "STIME".into(),
                other => return Err(invalid(format!("unsupported ps column {other:?}"))),
            };
            out.push(title);
        }
    }
    if !out.iter().any(|t| t == "PID") {
        return Err(invalid("Couldn't find PID field in ps output"));
    }
    Ok(out)
}

struct Process {
    pid: i32,
    ppid: String,
    uid: u32,
    state: String,
    tty: i64,
    ticks: u64,
    start_ticks: u64,
    virtual_kib: u64,
    resident_kib: u64,
    name: String,
    command: String,
}

impl Process {
    fn read(pid: i32) -> Option<Process> {
        let dir = format!("/proc/{pid}");
        let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_string();
        let f: Vec<&str> = tail.split_whitespace().collect();
        let number = |i: usize| f.get(i).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        let raw = fs::read(format!("{dir}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&raw)
            .replace('\0', " ")
            .trim_end()
            .to_string();
        let command = if words.is_empty() {
            format!("[{name}]")
        } else {
            words
        };
        Some(Process {
            pid,
            ppid: f.get(1).unwrap_or(&"0").to_string(),
            uid: fs::metadata(&dir).ok()?.uid(),
            state: f.first().unwrap_or(&"?").to_string(),
            tty: f.get(4).and_then(|v| v.parse().ok()).unwrap_or(0),
            ticks: number(11) + number(12),
            start_ticks: number(19),
            virtual_kib: number(20) / 1024,
            resident_kib: number(21) * 4,
            name,
            command,
        })
    }

    fn column(&self, title: &str, names: &HashMap<u32, String>, boot: i64, aux: bool) -> String {
        let seconds = self.ticks / TICKS_PER_SECOND;
        match title {
            "PID" => self.pid.to_string(),
            "PPID" => self.ppid.clone(),
            "UID" | "USER" => names
                .get(&self.uid)
                .cloned()
                .unwrap_or_else(|| self.uid.to_string()),
            "C" => "0".into(),
            "%CPU" | "%MEM" => "0.0".into(),
            "STIME" | "START" => clock_text(boot + (self.start_ticks / TICKS_PER_SECOND) as i64),
            "TTY" => match self.tty {
                0 => "?".into(),
                tty if (tty >> 8) & 0xfff == 136 => format!("pts/{}", tty & 0xff),
                tty => format!("tty{}", tty & 0xff),
            },
            "STAT" => self.state.clone(),
            "TIME" => format!(
                "{:02}:{:02}:{:02}",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60
            ),
            "VSZ" => self.virtual_kib.to_string(),
            "RSS" => self.resident_kib.to_string(),
            "COMMAND" if !aux => self.name.clone(),
            _ => self.command.clone(),
        }
    }
}

/// Of the host, as `ps` on the host would name them.
fn names() -> HashMap<u32, String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_string();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // The first name of a number counts.
    let mut out = HashMap::new();
    for (uid, name) in text.lines().filter_map(entry) {
        out.entry(uid).or_insert(name);
    }
    out
}

fn boot_time() -> i64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines()
        .find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok())
        .unwrap_or(0)
}

fn clock_text(unix: i64) -> String {
    match time::OffsetDateTime::from_unix_timestamp(unix) {
        Ok(at) => format!("{:02}:{:02}", at.hour(), at.minute()),
        Err(_) => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_ps() {
        assert_eq!(columns("").expect("the default"), FULL);
        assert_eq!(columns("aux").expect("known"), AUX);
        assert_eq!(columns("-o pid,args").expect("known"), ["PID", "ARGS"]);
        assert_eq!(
            columns("-o args").expect_err("no pid").message,
            "Couldn't find PID field in ps output"
        );
        assert!(columns("--wat").is_err());
    }

    #[test]
    fn this_process_is_readable() {
        let me = Process::read(std::process::id() as i32).expect("readable");
        assert_eq!(
            me.column("PID", &HashMap::new(), 0, false),
            std::process::id().to_string()
        );
        assert!(!me.column("CMD", &HashMap::new(), 0, false).is_empty());
    }
}
