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
    // The libraries below speak only when something is wrong: their debug output would drown ours.
    let filter = std::env::var("SHOAL_LOG").unwrap_or_else(|_| {
        format!("{level},h2=warn,hyper=warn,tower=warn,tonic=warn,openraft=warn,rustls=warn,hyper_util=warn")
    });
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
