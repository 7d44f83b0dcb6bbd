//! `shoald`: one host's daemon. Options, assembly, shutdown; the only place that knows every room.
//!
//! It reads its configuration, opens the engine (which recovers whatever an earlier life left), joins its cluster again
//! if it is in one, serves the Docker API on its sockets, and waits for signals. It decides nothing itself.

mod args;
mod assemble;
mod attachments;
mod authz;
mod config;
mod executor;
mod host;
mod listen;
mod logging;
mod metrics;
mod neighbours;
mod networks;
mod options;
mod pidfile;
mod ready;
mod reload;
mod report;
mod seat;
mod signals;

use config::Loaded;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = args::command().get_matches();
    let loaded = match args::read(&matches).map_err(anyhow::Error::msg).and_then(|args| {
        let validate = args.validate;
        let loaded = config::load(&args)?;
        Ok((loaded, validate))
    }) {
        Ok((_, true)) => {
            // Where dockerd says it.
            eprintln!("configuration OK");
            return ExitCode::SUCCESS;
        }
        Ok((loaded, false)) => loaded,
        Err(e) => {
            eprintln!("{e:#}");
            return ExitCode::FAILURE;
        }
    };
    logging::start(&loaded.config);
    match start(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // The text of a second daemon begins with these words already.
            let text = format!("{e:#}");
            let text = match text.starts_with("failed to start daemon") {
                true => text,
                false => format!("failed to start daemon: {text}"),
            };
            tracing::error!("{text}");
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn start(loaded: Loaded) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(e) = shoal_node_drivers_shim::raise_descriptors() {
        tracing::warn!("raise the limit of descriptors to the hard limit: {e}");
    }
    // Before anything is touched: a wrong socket must not leave a half-started daemon.
    let plan = listen::plan(&loaded.config)?;
    let _pidfile = pidfile::take(&loaded.config.pidfile)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("shoald")
        .on_thread_park(shoal_api_http::stay_awake)
        .build()?;
    let result = runtime.block_on(assemble::run(loaded, plan));
    // Blocking work that is still under way belongs to requests that were cut off.
    runtime.shutdown_background();
    result
}
