//! Everything that can be put to a container's actor.

use super::Actor;
use crate::clock;
use crate::error::{Error, Result, conflict};
use shoal_api_types::Slice;
use shoal_api_types::container::UpdateConfig;
use shoal_node_core_host::lifecycle::{self, Refusal, Then};
use shoal_node_drivers_shim::Exit;
use tokio::sync::oneshot;

pub type Reply<T> = oneshot::Sender<Result<T>>;

/// How a verb asks the machine, and learns of a refusal.
pub type Verdict = Result<(), Refusal>;

pub enum Input {
    /// Answered when the process runs, or could not be made.
    Start(Reply<Verdict>),
    /// Answered when the process has ended (or runs again, for a restart).
    Stop {
        signal: Option<i32>,
        timeout_ms: Option<u64>,
        then: Then,
        reply: Reply<Verdict>,
    },
    /// Answered when the signal is delivered; for SIGKILL, when the process has ended.
    Kill {
        signal: i32,
        reply: Reply<Verdict>,
    },
    /// `to_read`: for the time of a commit.
    Pause {
        to_read: bool,
        reply: Reply<Verdict>,
    },
    Unpause(Reply<Verdict>),
    /// Answered when nothing is left.
    Remove {
        force: bool,
        volumes: bool,
        reply: Reply<Verdict>,
    },
    Rename {
        name: String,
        reply: Reply<()>,
    },
    Update {
        update: Box<UpdateConfig>,
        reply: Reply<()>,
    },
    /// One legacy link less.
    Unlink {
        alias: String,
        reply: Reply<()>,
    },
    /// One more network, or one less.
    Connect {
        network: String,
        asked: Box<shoal_api_types::network::EndpointSettings>,
        reply: Reply<()>,
    },
    Disconnect {
        network: String,
        force: bool,
        reply: Reply<()>,
    },
    /// One health probe has ended.
    Probed {
        result: Box<shoal_api_types::container::HealthcheckResult>,
        run: u64,
    },
    /// The daemon starts: find out what is left, then apply policies. Answered after the first half.
    Recover(Reply<()>),
    Boot,
    Exited(Exit),
    Tick,
}

impl Actor {
    pub(super) async fn handle(&mut self, input: Input) {
        match input {
            Input::Start(reply) => {
                let verdict = self.step(lifecycle::Input::Start).await;
                self.answer_launch(verdict, reply);
            }
            Input::Stop {
                signal,
                timeout_ms,
                then,
                reply,
            } => {
                let verdict = self
                    .step(lifecycle::Input::Stop {
                        signal,
                        timeout_ms,
                        then,
                    })
                    .await;
                match verdict {
                    Ok(()) if self.run.state.is_stopping() => self.waiters.stop(reply),
                    verdict => self.answer_launch(verdict, reply),
                }
            }
            Input::Kill { signal, reply } => {
                let verdict = self.step(lifecycle::Input::Kill { signal }).await;
                match verdict {
                    Ok(()) if matches!(signal, 0 | 9) && self.run.state.phase.is_live() => {
                        self.waiters.end(reply)
                    }
                    verdict => drop(reply.send(Ok(verdict))),
                }
            }
            Input::Pause { to_read, reply } => {
                let verdict = self.step(lifecycle::Input::Pause { to_read }).await;
                if verdict.is_ok() && !to_read {
                    self.unwatched();
                    self.publish();
                }
                let _ = reply.send(Ok(verdict));
            }
            Input::Unpause(reply) => {
                let verdict = self.step(lifecycle::Input::Unpause).await;
                let _ = reply.send(Ok(verdict));
            }
            Input::Remove {
                force,
                volumes,
                reply,
            } => {
                self.waiters.want_volumes_gone(volumes);
                match self.step(lifecycle::Input::Remove { force }).await {
                    Ok(()) => self.waiters.remove(reply, &self.view),
                    Err(refusal) => drop(reply.send(Ok(Err(refusal)))),
                }
            }
            Input::Rename { name, reply } => drop(reply.send(self.rename(name))),
            Input::Update { update, reply } => drop(reply.send(self.update(*update).await)),
            Input::Unlink { alias, reply } => drop(reply.send(self.unlink(&alias))),
            Input::Connect {
                network,
                asked,
                reply,
            } => drop(reply.send(self.connect(&network, *asked).await)),
            Input::Disconnect {
                network,
                force,
                reply,
            } => drop(reply.send(self.disconnect(&network, force).await)),
            Input::Probed { result, run } => {
                if self.probed(*result, run) {
                    let timeout_ms = super::super::stop::timeout_ms(&self.record, None);
                    let _ = self.step(lifecycle::Input::Unhealthy { timeout_ms }).await;
                }
            }
            Input::Recover(reply) => {
                self.recover().await;
                let _ = reply.send(Ok(()));
            }
            Input::Boot => drop(self.step(lifecycle::Input::Boot).await),
            Input::Exited(exit) => {
                self.drop_process();
                let input = lifecycle::Input::Exited {
                    exit_code: exit.code,
                    oom_killed: exit.oom_killed,
                    at: clock::from_system(exit.finished_at),
                    error: exit.error.unwrap_or_default(),
                };
                let _ = self.step(input).await;
            }
            Input::Tick => drop(self.step(lifecycle::Input::Tick).await),
        }
    }

    /// A start (or restart) is answered with the reason when the process could not be made.
    fn answer_launch(&mut self, verdict: Verdict, reply: Reply<Verdict>) {
        let failure = self.waiters.take_failure();
        let _ = reply.send(match (verdict, failure) {
            (Ok(()), Some(error)) => Err(error),
            (verdict, _) => Ok(verdict),
        });
    }

    fn rename(&mut self, name: String) -> Result<()> {
        let phase = self.run.state.phase;
        if matches!(phase, lifecycle::Phase::Removing | lifecycle::Phase::Dead) {
            return Err(conflict(format!(
                "container {} is marked for removal and cannot be renamed",
                self.record.id
            )));
        }
        let old = self.record.name.clone();
        let taken = self.kit.registry.reserve(&name, &self.record.id);
        taken.map_err(|e| Error::new(e.class, format!("Error when allocating new name: {}", e.message)))?;
        let mut record = (*self.record).clone();
        record.name = name.clone();
        if let Err(e) = self.keep(record.into()) {
            self.kit.registry.release(&name, &self.record.id);
            return Err(e);
        }
        self.kit.registry.release(&old, &self.record.id);
        self.renamed(&old);
        self.publish();
        let mut attributes = super::super::attributes(&self.record);
        attributes.insert("oldName".into(), format!("/{old}"));
        self.kit
            .events
            .publish("container", "rename", &self.record.id, attributes);
        Ok(())
    }

    /// The process keeps its environment, and forgets the name.
    fn unlink(&mut self, alias: &str) -> Result<()> {
        let mut record = (*self.record).clone();
        let mut left = record.host.links.iter().cloned().collect::<Vec<_>>();
        left.retain(|link| crate::networks::split_link(link).1 != alias);
        record.host.links = match left.is_empty() {
            true => Slice::nil(),
            false => left.into(),
        };
        self.keep(record.into())?;
        self.publish();
        if self.run.state.phase.is_live() {
            crate::launch::unlinked(&self.dir, alias)?;
        }
        Ok(())
    }

    async fn update(&mut self, update: UpdateConfig) -> Result<()> {
        let mut record = (*self.record).clone();
        let cannot = |e: Error| {
            let text = format!("Cannot update container {}: {}", self.record.id, e.message);
            Error::new(e.class, text)
        };
        super::super::update::merge(&mut record, update).map_err(cannot)?;
        if self.run.state.phase.is_live() {
            self.kit.limits(&record).map_err(cannot)?;
        }
        self.keep(record.into())?;
        self.publish();
        let attributes = super::super::attributes(&self.record);
        self.kit
            .events
            .publish("container", "update", &self.record.id, attributes);
        Ok(())
    }
}
