//! `docker stop`.

use super::actor::Input;
use super::record::Record;
use super::{Containers, Handle, hearing};
use crate::error::{Error, Result, invalid, not_modified};
use shoal_api_backend::{Class, StopContainer};
use shoal_node_core_host::lifecycle::Then;

/// Seconds, as with Docker.
const TIMEOUT: i64 = 10;

impl Containers {
    pub async fn stop(&self, reference: &str, options: StopContainer) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        stop(&handle, &options, Then::Stay)
            .await
            .map_err(|e| match e.class {
                Class::InvalidParameter => Error::new(
                    e.class,
                    format!("cannot stop container: {reference}: {}", e.message),
                ),
                _ => e,
            })
    }
}

pub(super) async fn stop(handle: &Handle, options: &StopContainer, then: Then) -> Result<()> {
    let signal = options
        .signal
        .as_deref()
        .filter(|s| !s.is_empty())
        .map(parse)
        .transpose()?;
    let record = handle.view().record.clone();
    let timeout_ms = timeout_ms(&record, options.timeout);
    if timeout_ms != Some(0) {
        hearing::heard(handle, signal.unwrap_or_else(|| record.rules().signal_to_stop())).await;
    }
    match handle
        .ask(|reply| Input::Stop {
            signal,
            timeout_ms,
            then,
            reply,
        })
        .await?
    {
        Ok(()) => Ok(()),
        Err(_) => Err(not_modified()),
    }
}

/// `None` waits for ever.
pub(super) fn timeout_ms(record: &Record, asked: Option<i64>) -> Option<u64> {
    let seconds = asked.or(record.config.stop_timeout).unwrap_or(TIMEOUT);
    u64::try_from(seconds).ok().map(|s| s.saturating_mul(1000))
}

pub(super) fn parse(signal: &str) -> Result<i32> {
    crate::units::signal(signal).ok_or_else(|| invalid(format!("invalid signal: {signal}")))
}
