//! `stats`: one sample of each, or a table that follows them.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{Column, Listing, binary_size, human_size_short, short_id};
use anyhow::Result;
use clap::{Arg, ArgMatches};
use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use shoal_api_client::query;
use std::io::{IsTerminal, Write};
use std::time::Duration;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "stats"],
        also: &[&["stats"]],
        about: "Display a live stream of container(s) resource usage statistics",
        args: |c| {
            c.arg(switch("all", "Show all containers (default shows just running)").short('a'))
                .arg(Listing::format_arg())
                .arg(switch(
                    "no-stream",
                    "Disable streaming stats and only pull the first result",
                ))
                .arg(switch("no-trunc", "Do not truncate output"))
                .arg(Arg::new("names").value_name("CONTAINER").num_args(0..))
        },
        run: |s, m| Box::pin(stats(s, m)),
    }
}

async fn stats(s: &Session, m: &ArgMatches) -> Result<u8> {
    let named = list(m, "names");
    let terminal = std::io::stdout().is_terminal() && text(m, "format").is_none();
    for name in &named {
        // A name that is not there ends the command before the first line.
        s.client.get::<Json>(&format!("/containers/{name}/json")).await?;
    }
    loop {
        let names = if named.is_empty() {
            let all = if on(m, "all") { "1" } else { "" };
            let found: Vec<Json> = s.client.get(&query("/containers/json", &[("all", all)])).await?;
            found
                .iter()
                .map(|c| c["Id"].as_str().unwrap_or_default().to_owned())
                .collect()
        } else {
            named.clone()
        };
        // Each sample takes a second of measuring: side by side.
        let rows = join_all(names.iter().map(|name| async move {
            let path = query(&format!("/containers/{name}/stats"), &[("stream", "0")]);
            let sample: Json = s.client.get(&path).await.unwrap_or_default();
            row(name, &sample, on(m, "no-trunc"))
        }))
        .await;
        let columns = &[
            Column("CONTAINER ID", "ID"),
            Column("NAME", "Name"),
            Column("CPU %", "CPUPerc"),
            Column("MEM USAGE / LIMIT", "MemUsage"),
            Column("MEM %", "MemPerc"),
            Column("NET I/O", "NetIO"),
            Column("BLOCK I/O", "BlockIO"),
            Column("PIDS", "PIDs"),
        ];
        let table = Listing {
            columns,
            id: "ID",
            rows,
        };
        if terminal && !on(m, "no-stream") {
            print!("\x1b[H\x1b[2J");
        }
        table.print_as(text(m, "format").unwrap_or("table"))?;
        std::io::stdout().flush()?;
        if on(m, "no-stream") {
            return Ok(0);
        }
        if names.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn row(asked: &str, s: &Json, whole: bool) -> Json {
    let id = s["id"].as_str().unwrap_or_default();
    let name = s["name"].as_str().unwrap_or_default().trim_start_matches('/');
    if id.is_empty() {
        let none = |n: usize| ["--"; 2][..n].join(" / ");
        return json!({
            "BlockIO": none(2), "CPUPerc": none(1), "Container": asked, "ID": "--", "MemPerc": none(1),
            "MemUsage": none(2), "Name": "--", "NetIO": none(2), "PIDs": none(1),
        });
    }
    let number = |v: &Json| v.as_f64().unwrap_or(0.0);
    let memory = &s["memory_stats"];
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|key| memory["stats"][key].as_f64())
        .unwrap_or(0.0);
    let used = (number(&memory["usage"]) - cache).max(0.0);
    let limit = number(&memory["limit"]);
    let (mut received, mut sent) = (0.0, 0.0);
    for network in s["networks"].as_object().into_iter().flatten() {
        received += number(&network.1["rx_bytes"]);
        sent += number(&network.1["tx_bytes"]);
    }
    let (mut read, mut written) = (0.0, 0.0);
    for entry in s["blkio_stats"]["io_service_bytes_recursive"]
        .as_array()
        .into_iter()
        .flatten()
    {
        match entry["op"].as_str().map(str::to_lowercase).as_deref() {
            Some("read") => read += number(&entry["value"]),
            Some("write") => written += number(&entry["value"]),
            _ => {}
        }
    }
    let share = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    json!({
        "BlockIO": format!("{} / {}", human_size_short(read), human_size_short(written)),
        "CPUPerc": format!("{:.2}%", cpu(s)),
        "Container": asked,
        "ID": if whole { id.to_owned() } else { short_id(id) },
        "MemPerc": format!("{share:.2}%"),
        "MemUsage": format!("{} / {}", binary_size(used), binary_size(limit)),
        "Name": name,
        "NetIO": format!("{} / {}", human_size_short(received), human_size_short(sent)),
        "PIDs": number(&s["pids_stats"]["current"]).to_string(),
    })
}

/// Of one CPU, so more than 100 where several were busy.
fn cpu(s: &Json) -> f64 {
    let number = |v: &Json| v.as_f64().unwrap_or(0.0);
    let (now, before) = (&s["cpu_stats"], &s["precpu_stats"]);
    let used = number(&now["cpu_usage"]["total_usage"]) - number(&before["cpu_usage"]["total_usage"]);
    let passed = number(&now["system_cpu_usage"]) - number(&before["system_cpu_usage"]);
    let cpus = match number(&now["online_cpus"]) {
        0.0 => now["cpu_usage"]["percpu_usage"].as_array().map_or(1, Vec::len) as f64,
        cpus => cpus,
    };
    if used > 0.0 && passed > 0.0 {
        used / passed * cpus * 100.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_row() {
        let sample = json!({
            "id": "961e63805aebc5c634574641", "name": "/st",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 1 << 20, "limit": 64 << 20, "stats": {"inactive_file": 1 << 19}},
            "networks": {"eth0": {"rx_bytes": 736, "tx_bytes": 126}}, "pids_stats": {"current": 1},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 295_000}]},
        });
        let row = row("st", &sample, false);
        assert_eq!(row["CPUPerc"], "20.00%");
        assert_eq!(row["MemUsage"], "512KiB / 64MiB");
        assert_eq!(row["NetIO"], "736B / 126B");
        assert_eq!(row["BlockIO"], "295kB / 0B");
        assert_eq!((&row["PIDs"], &row["ID"]), (&json!("1"), &json!("961e63805aeb")));
    }
}
