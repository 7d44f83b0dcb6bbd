//! The end of a container: everything of it goes, its configuration last, so that a removal that was cut short is
//! finished at the next start.

use super::Actor;
use crate::containers::attributes;
use crate::containers::handle::View;
use crate::files;
use shoal_node_core_host::lifecycle::Input;
use std::path::Path;
use std::sync::Arc;

impl Actor {
    pub(super) async fn delete(&mut self, volumes: bool) -> Option<Input> {
        // Noted with the removal: whoever finishes it after a crash takes them too.
        self.run.volumes_go |= volumes || self.waiters.volumes_gone();
        self.release();
        if let Err(error) = self.persist() {
            // The directory may be the very thing that is broken; the removal goes on.
            tracing::debug!(%error, "the removal could not be noted");
        }
        self.drop_process();
        let id = self.record.id.clone();
        let of_images = self.record.mounts.iter().map(|m| m.layer.as_str());
        for layer in of_images.filter(|l| !l.is_empty()).chain([id.as_str()]) {
            if let Err(e) = self.kit.images.discard(layer).await {
                let error = format!("unable to remove filesystem for {id}: {e}");
                return Some(Input::RemoveFailed { error });
            }
        }
        if self.run.volumes_go {
            for mount in self.record.mounts.iter().filter(|m| m.anonymous) {
                if let Err(error) = self.kit.volumes.remove_unused(&mount.point.name, &id).await {
                    tracing::debug!(volume = %mount.point.name, %error, "an anonymous volume stays");
                }
            }
        }
        let (dir, run_dir) = (self.dir.clone(), self.run_dir.clone());
        let trash = self.kit.home_tmp.join(format!("gone-{id}"));
        let cleared = tokio::task::spawn_blocking(move || clear(&dir, &run_dir, &trash)).await;
        let failure = match cleared {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(e.to_string()),
            Err(e) => Some(e.to_string()),
        };
        if let Some(e) = failure {
            let error = format!("unable to remove filesystem for {id}: {e}");
            return Some(Input::RemoveFailed { error });
        }
        self.kit.registry.remove(&id, &self.record.name);
        self.kit.execs.container_removed(&id);
        self.kit
            .events
            .publish("container", "destroy", &id, attributes(&self.record));
        let last = self.view.borrow().clone();
        self.view.send_replace(Arc::new(View {
            gone: true,
            shim: None,
            ..(*last).clone()
        }));
        self.waiting.disappoint();
        self.waiters.gone();
        None
    }
}

/// The configuration disappears in one step, durably; what it lay beside follows.
fn clear(dir: &Path, run_dir: &Path, trash: &Path) -> std::io::Result<()> {
    files::remove_tree(run_dir)?;
    match std::fs::rename(dir, trash) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // A leftover of the same name: make room and try once more.
        Err(_) => {
            files::remove_tree(trash)?;
            std::fs::rename(dir, trash)?;
        }
    }
    files::remove_tree(trash)
}
