//! What of the request's `Healthcheck` is more than a value.

use crate::commands::parse::*;
use anyhow::{Result, bail};
use clap::ArgMatches;
use serde_json::{Value as Json, json};

/// The timings are laid there already.
pub fn health(m: &ArgMatches, request: &mut Json) -> Result<()> {
    if on(m, "no-healthcheck") {
        if !request["Healthcheck"].is_null() || text(m, "health-cmd").is_some() {
            bail!("--no-healthcheck conflicts with --health-* options");
        }
        request["Healthcheck"] = json!({"Test": ["NONE"]});
    } else if let Some(command) = text(m, "health-cmd") {
        request["Healthcheck"]["Test"] = json!(["CMD-SHELL", command]);
    }
    Ok(())
}
