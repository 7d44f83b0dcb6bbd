//! `docker top`: the container's processes read from /proc; `core/host` says what `ps` would show of them.

use super::Containers;
use crate::error::{Result, conflict, invalid, system};
use shoal_api_types::container::TopResponse;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_core_host::ps::{self, Host, Process};
use std::collections::HashMap;
use std::fs;

/// On every Linux that this engine runs on.
const PAGE_KIB: u64 = 4;

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
        let columns = ps::columns(ps_args).map_err(invalid)?;
        let pids = self
            .kit
            .cgroup(&view.record)?
            .pids()
            .map_err(|e| system(e.to_string()))?;
        let answer = crate::launch::blocking(move || {
            let host = host();
            let processes = pids.into_iter().filter_map(read);
            let processes = processes
                .map(|p| columns.iter().map(|c| c.show(&p, &host)).collect())
                .collect();
            let titles = columns.into_iter().map(|c| c.title).collect();
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

/// By proc_pid_stat(5) and proc_pid_status(5); `None` when it has ended.
fn read(pid: i32) -> Option<Process> {
    let dir = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{dir}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_string();
    let f: Vec<&str> = tail.split_whitespace().collect();
    let signed = |i: usize| f.get(i).and_then(|v| v.parse::<i64>().ok()).unwrap_or(0);
    let number = |i: usize| f.get(i).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    let status = fs::read_to_string(format!("{dir}/status")).ok()?;
    let field = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key));
        line.unwrap_or_default().trim()
    };
    let ids = |key: &str| {
        let mut numbers = field(key)
            .split_whitespace()
            .map(|n| n.parse::<u32>().unwrap_or(0));
        [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
    };
    let raw = fs::read(format!("{dir}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&raw)
        .replace('\0', " ")
        .trim_end()
        .to_string();
    let command = match words.is_empty() {
        true => format!("[{name}]"),
        false => words,
    };
    let wchan = match fs::read_to_string(format!("{dir}/wchan")) {
        Ok(text) if !matches!(text.trim(), "" | "0") => text.trim().to_string(),
        _ => "-".into(),
    };
    let groups = fs::read_to_string(format!("{dir}/cgroup")).unwrap_or_default();
    Some(Process {
        pid,
        state: f.first().unwrap_or(&"?").to_string(),
        ppid: signed(1),
        pgid: signed(2),
        sid: signed(3),
        tty: signed(4),
        tpgid: signed(5),
        flags: number(6),
        major_faults: number(9),
        ticks: number(11) + number(12),
        priority: signed(15),
        nice: signed(16),
        threads: number(17),
        started: number(19),
        virtual_kib: number(20) / 1024,
        resident_kib: number(21) * PAGE_KIB,
        locked_kib: field("VmLck:").trim_end_matches(" kB").parse().unwrap_or(0),
        processor: number(36),
        wchan,
        name,
        command,
        uids: ids("Uid:"),
        gids: ids("Gid:"),
        signals: ["SigPnd:", "SigBlk:", "SigIgn:", "SigCgt:"].map(|key| field(key).to_string()),
        cgroup: groups.lines().collect::<Vec<_>>().join(","),
    })
}

fn host() -> Host {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let boot = text("/proc/stat")
        .lines()
        .find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok());
    let uptime = text("/proc/uptime")
        .split_whitespace()
        .next()
        .and_then(|s| s.parse::<f64>().ok());
    let memory = text("/proc/meminfo").lines().find_map(|l| {
        l.strip_prefix("MemTotal:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    Host {
        boot: boot.unwrap_or(0),
        uptime: (uptime.unwrap_or(0.0) * 100.0) as u64,
        memory_kib: memory.unwrap_or(0),
        users: names(&text("/etc/passwd")),
        groups: names(&text("/etc/group")),
    }
}

/// Of the host, as `ps` on the host would name them.
fn names(text: &str) -> HashMap<u32, String> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_string();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    // The first name of a number counts.
    let mut out = HashMap::new();
    for (id, name) in text.lines().filter_map(entry) {
        out.entry(id).or_insert(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_readable() {
        let me = read(std::process::id() as i32).expect("readable");
        let columns = ps::columns("-o pid,args,stat").expect("known");
        let shown: Vec<String> = columns.iter().map(|c| c.show(&me, &host())).collect();
        assert_eq!(shown[0], std::process::id().to_string());
        assert!(!shown[1].is_empty() && !shown[2].is_empty());
    }
}
