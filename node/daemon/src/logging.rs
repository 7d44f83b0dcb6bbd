//! The daemon's own log, on standard error, where systemd and supervisors look for it.

use crate::config::Config;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

type Change = Box<dyn Fn(EnvFilter) + Send + Sync>;
static CHANGE: OnceLock<Change> = OnceLock::new();

pub fn start(config: &Config) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(wanted(config))
        .with_writer(std::io::stderr as fn() -> std::io::Stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(!config.raw_logs && std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second start in one process cannot happen outside tests; it keeps the first log.
    if config.log_format == "json" {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = CHANGE.set(Box::new(move |filter| drop(handle.reload(filter))));
        let _ = builder.try_init();
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = CHANGE.set(Box::new(move |filter| drop(handle.reload(filter))));
        let _ = builder.try_init();
    }
}

/// From now on with the level that this configuration asks for.
pub fn reload(config: &Config) {
    if let Some(change) = CHANGE.get() {
        change(wanted(config));
    }
}

fn wanted(config: &Config) -> EnvFilter {
    let level = if config.debug {
        "debug"
    } else {
        config.log_level.as_str()
    };
    let level = if level == "fatal" { "error" } else { level };
    let text = std::env::var("SHOAL_LOG").unwrap_or_else(|_| filter(level));
    EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn filter(level: &str) -> String {
    // The libraries below speak only when something is wrong: their debug output would drown ours.
    let quiet = [
        "h2",
        "hyper",
        "hyper_util",
        "openraft",
        "rustls",
        "tonic",
        "tower",
    ];
    // Of these openraft warns at every call of another manager that fails, ten times a second, and at every answer and
    // proposal that nobody waits for any more. Managers say once who does not answer, and that they lack a leader
    // (`node/manager`, leader/lookout and swarm/member).
    let silent = [
        "openraft::core::heartbeat",
        "openraft::core::raft_core",
        "openraft::engine::handler::replication_handler",
        "openraft::proposer::leader",
        "openraft::raft::responder",
        "openraft::replication",
    ];
    let quiet = quiet.map(|target| format!(",{target}=warn"));
    let silent = silent.map(|target| format!(",{target}=error"));
    format!("{level}{}{}", quiet.concat(), silent.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_can_be_read() {
        for level in ["debug", "info", "warn", "error"] {
            let text = filter(level);
            assert!(EnvFilter::try_new(&text).is_ok(), "{text}");
        }
    }
}
