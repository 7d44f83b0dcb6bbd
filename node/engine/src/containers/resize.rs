//! The size of a container's terminal.

use super::Containers;
use crate::error::{Result, conflict, system};
use shoal_api_backend::TerminalSize;

impl Containers {
    pub async fn resize(&self, reference: &str, size: TerminalSize) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        let view = handle.view();
        let Some(shim) = &view.shim else {
            return Err(conflict(format!("container {} is not running", handle.id())));
        };
        shim.resize(size.width, size.height)
            .await
            .map_err(|e| system(format!("cannot resize the terminal: {e}")))?;
        let mut attributes = super::attributes(&view.record);
        attributes.insert("height".into(), size.height.to_string());
        attributes.insert("width".into(), size.width.to_string());
        self.kit
            .events
            .publish("container", "resize", handle.id(), attributes);
        Ok(())
    }
}
