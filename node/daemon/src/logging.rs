//! The daemon's own log, on standard error, where systemd and supervisors look for it.

use crate::config::Config;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

pub fn start(config: &Config) {
    let level = if config.debug {
        "debug"
    } else {
        config.log_level.as_str()
    };
    let level = if level == "fatal" { "error" } else { level };
    let filter = std::env::var("SHOAL_LOG").unwrap_or_else(|_| filter(level));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second start in one process cannot happen outside tests; it keeps the first log.
    let _ = if config.log_format == "json" {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
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
