//! The request's `Healthcheck`.

use crate::commands::parse::*;
use crate::format::duration_of;
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Map, Value as Json, json};

pub fn health(m: &ArgMatches) -> Result<Option<Json>> {
    if on(m, "no-healthcheck") {
        return Ok(Some(json!({"Test": ["NONE"]})));
    }
    let mut health = Map::new();
    if let Some(command) = text(m, "health-cmd") {
        health.insert("Test".into(), json!(["CMD-SHELL", command]));
    }
    for (flag, key) in [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
    ] {
        if let Some(value) = text(m, flag) {
            health.insert(key.into(), Json::from(duration_of(value)?));
        }
    }
    if let Some(retries) = number::<i64>(m, "health-retries")? {
        health.insert("Retries".into(), Json::from(retries));
    }
    Ok((!health.is_empty()).then_some(Json::Object(health)))
}
