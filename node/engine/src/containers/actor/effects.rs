//! What the machine wants done, done.

use super::{Actor, Process, probe};
use crate::clock;
use crate::containers::attributes;
use crate::launch;
use crate::networks::is_shown;
use shoal_node_core_host::lifecycle::{Action, Effect, Input};
use shoal_node_drivers_shim::Shim;

impl Actor {
    /// Performs one effect; what came of it is the machine's next input.
    pub(super) async fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Launch => Some(Box::pin(self.launch()).await),
            Effect::Signal(signal) => {
                if let Some(process) = &self.process
                    && let Err(error) = process.shim.signal(signal).await
                {
                    tracing::debug!(id = %self.record.id, signal, %error, "the process could not be signalled");
                }
                None
            }
            Effect::KillAll => {
                self.kill_all().await;
                None
            }
            Effect::Freeze => {
                self.freezer(true);
                None
            }
            Effect::Thaw => {
                self.freezer(false);
                None
            }
            Effect::Release => {
                self.release();
                None
            }
            Effect::Persist => {
                if let Err(error) = self.persist() {
                    tracing::error!(%error, "a container's state could not be written");
                }
                None
            }
            Effect::Emit(action) => {
                self.emit(action);
                None
            }
            Effect::Delete { volumes } => self.delete(volumes).await,
        }
    }

    async fn launch(&mut self) -> Input {
        let run = self.run.state.exits;
        if let Some(health) = &mut self.run.health {
            // What was seen in the last run is still shown.
            health.health = Default::default();
        }
        let order = launch::Order {
            kit: &self.kit,
            record: &self.record,
            dir: &self.dir,
            run_dir: &self.run_dir,
            waiting: &self.waiting,
        };
        match launch::launch(order, &mut self.run).await {
            Ok(started) => {
                let at = clock::from_system(started.running.started_at);
                let pid = i32::try_from(started.running.pid).unwrap_or(0);
                self.take_process(started.shim, run);
                Input::Launched { pid, at }
            }
            Err(failure) => {
                tracing::debug!(id = %self.record.id, error = %failure.error.message, "start failed");
                let input = Input::LaunchFailed {
                    exit_code: failure.exit_code,
                    error: failure.error.message.clone(),
                };
                self.waiting.disappoint();
                self.waiters.launch_failed(failure.error);
                input
            }
        }
    }

    /// From now on this process is the container's.
    pub(super) fn take_process(&mut self, shim: Shim, run: u64) {
        match crate::logging::plan(&self.record, &self.dir) {
            Ok(plan) => self.kit.logs.tend(&self.record, &shim, &plan),
            Err(error) => tracing::warn!(id = %self.record.id, %error, "the log is not looked after"),
        }
        let watched = shim.clone();
        let exit = Box::pin(async move { watched.exited().await });
        let probe = probe::start(&self.kit, &self.record, &mut self.run, &shim, run);
        self.process = Some(Process { shim, exit, probe });
    }

    pub(super) fn drop_process(&mut self) {
        self.unwatched();
        self.process = None;
        self.kit.execs.container_ended(&self.record.id);
    }

    /// The whole control group, where the first process's end does not end the others (a shared pid namespace).
    async fn kill_all(&mut self) {
        if let Some(process) = &self.process
            && process.shim.signal(9).await.is_err()
        {
            tracing::debug!(id = %self.record.id, "the process was gone before it could be killed");
        }
        let private = self.record.host.pid_mode.is_empty();
        if !private && let Ok(cgroup) = self.kit.cgroup(&self.record) {
            let _ = cgroup.kill();
        }
    }

    fn freezer(&mut self, freeze: bool) {
        let done = self.kit.cgroup(&self.record).and_then(|cgroup| {
            let done = if freeze { cgroup.freeze() } else { cgroup.thaw() };
            done.map_err(|e| crate::error::system(e.to_string()))
        });
        if let Err(error) = done {
            tracing::warn!(id = %self.record.id, %error, freeze, "the control group could not be frozen or thawed");
        }
    }

    pub(super) fn release(&mut self) {
        self.kit.volumes.release(&self.record);
        let endpoints = std::mem::take(&mut self.run.endpoints);
        if !endpoints.is_empty() {
            self.kit.networks.release(&self.record.id, &endpoints);
            for endpoint in endpoints.iter().filter(|e| is_shown(&self.record, e)) {
                self.kit.networks.emit("disconnect", endpoint, &self.record.id);
            }
        }
    }

    fn emit(&self, action: Action) {
        let mut attributes = attributes(&self.record);
        let name = match action {
            Action::Start => "start",
            Action::Kill { signal } => {
                attributes.insert("signal".into(), signal.to_string());
                "kill"
            }
            Action::Die { exit_code, ran_ms } => {
                // Only what ran dies, and only what ran had mounted.
                self.kit.volumes.told(false, &self.record);
                attributes.insert("exitCode".into(), exit_code.to_string());
                attributes.insert("execDuration".into(), (ran_ms / 1000).to_string());
                "die"
            }
            Action::Oom => "oom",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::Pause => "pause",
            Action::Unpause => "unpause",
        };
        self.kit
            .events
            .publish("container", name, &self.record.id, attributes);
    }
}
