//! `docker rename`.

use super::Containers;
use super::actor::Input;
use crate::error::{Result, invalid};
use shoal_node_core_host::names;

impl Containers {
    pub async fn rename(&self, reference: &str, name: &str) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        if name.is_empty() {
            return Err(invalid("Neither old nor new names may be empty"));
        }
        let name = names::check(name)
            .map_err(|e| {
                let shown = e.replacen(&format!("({name})"), &format!("(/{name})"), 1);
                invalid(format!("Error when allocating new name: {shown}"))
            })?
            .to_string();
        if handle.name() == name {
            return Err(invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        handle.ask(|reply| Input::Rename { name, reply }).await
    }
}
