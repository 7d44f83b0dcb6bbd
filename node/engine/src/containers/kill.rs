//! `docker kill`.

use super::Containers;
use super::actor::Input;
use crate::error::{Result, conflict, invalid};

impl Containers {
    pub async fn kill(&self, reference: &str, signal: &str) -> Result<()> {
        let told = |e: crate::error::Error| crate::error::Error {
            message: format!("cannot kill container: {reference}: {}", e.message),
            ..e
        };
        let handle = self.kit.registry.get(reference).map_err(told)?;
        let signal = if signal.is_empty() {
            9
        } else {
            crate::units::signal(signal).ok_or_else(|| {
                let why = match signal.parse::<i32>() {
                    Ok(number) if number != 0 => format!("the linux daemon does not support signal {signal}"),
                    _ => format!("invalid signal: {signal}"),
                };
                invalid(format!("cannot kill container: {reference}: {why}"))
            })?
        };
        match handle.ask(|reply| Input::Kill { signal, reply }).await? {
            Ok(()) => Ok(()),
            Err(_) => Err(conflict(format!(
                "cannot kill container: {reference}: container {} is not running",
                handle.id()
            ))),
        }
    }
}
