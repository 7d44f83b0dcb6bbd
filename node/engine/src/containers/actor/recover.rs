//! A daemon's start seen from one container: what is there is taken over, what is gone is written down. This is the
//! only way in which a container that was not just created gets its state.

use super::Actor;
use crate::clock;
use crate::containers::record::EXIT;
use shoal_node_core_host::lifecycle::Input;
use shoal_node_drivers_shim::{Found, Shim};

impl Actor {
    pub(super) async fn recover(&mut self) {
        self.find().await;
        if self.process.is_none() {
            self.unwatched();
            self.publish();
        }
    }

    async fn find(&mut self) {
        let exit_file = self.dir.join(EXIT);
        let live = self.run.state.phase.is_live();
        if !live && !self.run_dir.exists() {
            let _ = self.step(Input::FoundNothing).await;
            return;
        }
        if live {
            // It used them when this was written; what has ended since lets go of them like any other.
            self.kit.volumes.readopt(&self.record).await;
        }
        match Shim::adopt(&self.run_dir, &exit_file).await {
            // Held before its exec: the daemon died while it started this one, and nobody was told that it ran.
            Ok(Found::Running {
                shim, gated: true, ..
            }) => {
                let _ = shim.signal(9).await;
                let _ = shim.exited().await;
                let _ = self.step(Input::FoundNothing).await;
                self.release();
            }
            Ok(Found::Running {
                shim, running, execs, ..
            }) => {
                let pid = i32::try_from(running.pid).unwrap_or(0);
                self.kit.networks.readopt(&self.record, &self.run.endpoints, pid);
                self.kit.execs.readopt(&self.record.id, execs);
                self.take_process(shim, self.run.state.exits);
                let at = clock::from_system(running.started_at);
                let _ = self.step(Input::FoundRunning { pid, at }).await;
            }
            Ok(Found::Exited(exit)) if live => {
                let input = Input::Exited {
                    exit_code: exit.code,
                    oom_killed: exit.oom_killed,
                    at: clock::from_system(exit.finished_at),
                    error: exit.error.unwrap_or_default(),
                };
                let _ = self.step(input).await;
            }
            Ok(Found::Lost(_)) => {
                if let Ok(cgroup) = self.kit.cgroup(&self.record) {
                    let _ = cgroup.kill();
                    let _ = cgroup.delete();
                }
                let _ = self.step(Input::FoundNothing).await;
            }
            Ok(Found::Exited(_) | Found::Nothing) => drop(self.step(Input::FoundNothing).await),
            Err(error) => {
                tracing::error!(id = %self.record.id, %error, "what is left of a container could not be found out");
                let _ = self.step(Input::FoundNothing).await;
            }
        }
    }
}
