//! `docker kill`.

use super::Containers;
use super::actor::Input;
use super::stop::parse;
use crate::error::{Result, conflict};

impl Containers {
    pub async fn kill(&self, reference: &str, signal: &str) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        let signal = if signal.is_empty() || signal == "0" {
            9
        } else {
            parse(signal)?
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
