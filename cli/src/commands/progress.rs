//! Pull, load and import: the daemon's progress, as bars where there is a terminal and as lines where there is none.

use crate::app::Exit;
use anyhow::Result;
use futures_util::StreamExt;
use serde_json::Value as Json;
use std::io::{IsTerminal, Write};

/// Shows a progress stream to its end. An error inside it is the command's failure.
pub async fn show(
    mut lines: impl futures_util::Stream<Item = shoal_api_client::Result<Json>> + Unpin,
    quiet: bool,
) -> Result<Option<Json>> {
    let mut out = std::io::stdout();
    let terminal = out.is_terminal();
    let mut rows: Vec<String> = Vec::new();
    let mut aux = None;
    while let Some(line) = lines.next().await {
        let line = line?;
        if let Some(error) = line["errorDetail"]["message"].as_str().or(line["error"].as_str()) {
            return Err(Exit(1, error.to_owned()).into());
        }
        if !line["aux"].is_null() {
            aux = Some(line["aux"].clone());
            continue;
        }
        if quiet {
            continue;
        }
        if let Some(text) = line["stream"].as_str() {
            write!(out, "{text}")?;
            continue;
        }
        let Some(status) = line["status"].as_str() else {
            continue;
        };
        let Some(id) = line["id"].as_str() else {
            writeln!(out, "{status}")?;
            // What follows starts a new block of rows.
            rows.clear();
            continue;
        };
        let (current, total) = (
            line["progressDetail"]["current"].as_u64(),
            line["progressDetail"]["total"].as_u64(),
        );
        if terminal {
            let at = rows.iter().position(|r| r == id).unwrap_or_else(|| {
                rows.push(id.to_owned());
                let _ = writeln!(out);
                rows.len() - 1
            });
            let up = rows.len() - at;
            let bar = bar(current, total);
            write!(out, "\x1b[{up}A\r\x1b[2K{id}: {status} {bar}\x1b[{up}B\r")?;
        } else if current.is_none() {
            writeln!(out, "{id}: {status}")?;
        }
        out.flush()?;
    }
    Ok(aux)
}

fn bar(current: Option<u64>, total: Option<u64>) -> String {
    let size = |n: u64| crate::format::human_size(n as f64);
    match (current, total) {
        (Some(current), Some(total)) if total > 0 => {
            let filled = usize::try_from(current.min(total) * 40 / total).unwrap_or(40);
            format!(
                "[{}>{}] {}/{}",
                "=".repeat(filled),
                " ".repeat(40 - filled),
                size(current),
                size(total)
            )
        }
        (Some(current), _) if current > 0 => size(current),
        _ => String::new(),
    }
}
