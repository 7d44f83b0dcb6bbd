//! Commands in running containers.

mod ending;
mod table;

pub use table::{Entry, State, Table};

use crate::containers::{Detachable, Keys, Kit, Record, View, attributes};
use crate::error::{Result, conflict, invalid, not_found, system};
use crate::events::Events;
use crate::ids;
use crate::launch::{self, ExecWish};
use async_trait::async_trait;
use ending::Ending;
use shoal_api_backend as api;
use shoal_api_backend::{Attached, TerminalSize};
use shoal_api_types::exec::*;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_shim as shim;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A user of no more digits than this is one, whatever they are.
const NUMBER_MAX: usize = 9;

#[derive(Clone)]
pub struct Execs {
    kit: Arc<Kit>,
}

impl Execs {
    pub(crate) fn new(kit: Arc<Kit>) -> Self {
        Execs { kit }
    }

    fn entry(&self, id: &str) -> Result<Entry> {
        self.kit
            .execs
            .get(id)
            .ok_or_else(|| not_found(format!("No such exec instance: {id}")))
    }

    /// Makes the process; its streams are in the handle.
    async fn run(
        &self,
        id: &str,
        start: &ExecStartRequest,
        detached: bool,
    ) -> Result<(shim::ExecHandle, bool)> {
        let entry = self.entry(id)?;
        let handle = self.kit.registry.get(&entry.container)?;
        let view = running(&handle.view(), &entry.container)?;
        if !self.kit.execs.begin(id) {
            return Err(match self.entry(id)?.state {
                State::Ended { .. } => conflict(format!("exec command {id} has already run")),
                _ => conflict(format!("exec command {id} is already running")),
            });
        }
        let done = make(&self.kit, &view, id, &entry.request, start, detached).await;
        match done {
            Ok(exec) => {
                self.emit("exec_start", &view, id, &entry.request.cmd, None);
                Ok((exec, entry.request.tty))
            }
            Err((code, e)) => {
                self.kit.execs.ended(id, code, 0);
                Err(e)
            }
        }
    }

    /// Keeps the handle for resize and inspect, and notes the end. What is given back is told once that is done.
    fn keep(&self, id: &str, container: &str, exec: Arc<shim::ExecHandle>) -> oneshot::Receiver<()> {
        self.kit.execs.set(id, State::Running(exec.clone()));
        let (this, id, container) = (self.clone(), id.to_string(), container.to_string());
        let (noted, told) = oneshot::channel();
        tokio::spawn(async move {
            let exit = exec.exited().await;
            this.kit.execs.ended(&id, exit.code, exec.pid);
            let _ = noted.send(());
            if let Ok(handle) = this.kit.registry.get(&container) {
                this.emit("exec_die", &handle.view(), &id, &[], Some(exit.code));
            }
        });
        told
    }

    fn emit(&self, action: &str, view: &View, exec: &str, cmd: &[String], exit_code: Option<i32>) {
        emit(&self.kit.events, action, &view.record, exec, cmd, exit_code);
    }
}

/// Says what happened to a process in a container, a health check's too.
pub(crate) fn emit(
    events: &Events,
    action: &str,
    record: &Record,
    exec: &str,
    cmd: &[String],
    exit_code: Option<i32>,
) {
    let mut attributes = attributes(record);
    attributes.insert("execID".into(), exec.into());
    if let Some(code) = exit_code {
        attributes.insert("exitCode".into(), code.to_string());
    }
    // The program, a space, and its arguments, if any.
    let action = match cmd.split_first() {
        None => action.to_string(),
        Some((program, args)) => format!("{action}: {program} {}", args.join(" ")),
    };
    events.publish("container", &action, &record.id, attributes);
}

fn running(view: &Arc<View>, id: &str) -> Result<Arc<View>> {
    match view.phase() {
        Phase::Running if view.shim.is_some() => Ok(view.clone()),
        Phase::Paused => Err(conflict(format!(
            "Container {id} is paused, unpause the container before exec"
        ))),
        Phase::Restarting => Err(conflict(format!(
            "Container {id} is restarting, wait until the container is running"
        ))),
        _ => Err(conflict(format!("container {id} is not running"))),
    }
}

/// Makes a process in a running container. The code is what an exec that could not be made ends with.
pub(crate) async fn make(
    kit: &Arc<Kit>,
    view: &Arc<View>,
    id: &str,
    request: &Arc<ExecCreateRequest>,
    start: &ExecStartRequest,
    detached: bool,
) -> Result<shim::ExecHandle, (i32, crate::error::Error)> {
    let shim = view.shim.clone().ok_or((
        126,
        conflict(format!("container {} is not running", view.record.id)),
    ))?;
    let process = {
        let (kit, view, request) = (kit.clone(), view.clone(), request.clone());
        launch::blocking(move || {
            let wish = ExecWish {
                user: &request.user,
                privileged: request.privileged,
                tty: request.tty,
                env: &request.env,
                working_dir: &request.working_dir,
                args: &request.cmd,
            };
            launch::exec_process(&kit, &view.record, view.state.pid, &wish)
        })
    };
    let process = process.await.map_err(|e| (126, e))?;
    let size = start
        .console_size
        .or(request.console_size)
        .filter(|_| request.tty);
    let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    let attach = if detached {
        shim::Attach::default()
    } else {
        shim::Attach {
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
        }
    };
    let exec = shim::Exec {
        id: id.into(),
        process,
        tty: request.tty,
        size: size.map(|[height, width]| (side(width), side(height))),
        attach,
        unconfined: request.privileged,
    };
    shim.exec(exec).await.map_err(|e| match e {
        shim::Error::NotStarted(reason) => {
            let message = format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {}",
                reason.message
            );
            let class = if matches!(reason.code, 126 | 127) {
                invalid(message)
            } else {
                system(message)
            };
            (reason.code, class)
        }
        shim::Error::Gone => (
            126,
            conflict(format!("container {} is not running", view.record.id)),
        ),
        other => (126, system(other.to_string())),
    })
}

#[async_trait]
impl api::Execs for Execs {
    async fn create(&self, container: &str, request: ExecCreateRequest) -> Result<String> {
        let handle = self.kit.registry.get(container)?;
        let view = running(&handle.view(), handle.id()).map_err(|e| match handle.view().phase() {
            // Docker calls it here as its user did.
            Phase::Paused => crate::error::Error {
                message: e.message.replace(handle.id(), container),
                ..e
            },
            _ => e,
        })?;
        if request.cmd.is_empty() {
            return Err(invalid("No exec command specified"));
        }
        if request.env.iter().any(|e| e.is_empty() || e.starts_with('=')) {
            return Err(invalid("invalid environment variable"));
        }
        if !request.working_dir.is_empty() && !request.working_dir.starts_with('/') {
            return Err(invalid(format!(
                "invalid working directory {:?}: it must be absolute",
                request.working_dir
            )));
        }
        let keys = request.detach_keys.as_str();
        if !keys.is_empty() && Keys::parse(keys).is_none() {
            return Err(invalid(format!("Invalid escape keys ({keys}) provided")));
        }
        // A number needs no looking up.
        if !request.user.bytes().all(|b| b.is_ascii_digit()) || request.user.len() > NUMBER_MAX {
            let (kit, view, user) = (self.kit.clone(), view.clone(), request.user.clone());
            launch::blocking(move || launch::exec_user(&kit, &view.record, view.state.pid, &user)).await?;
        }
        let id = ids::new();
        self.emit("exec_create", &view, &id, &request.cmd, None);
        self.kit.execs.insert(&id, handle.id(), request);
        Ok(id)
    }

    async fn start_detached(&self, id: &str, request: ExecStartRequest) -> Result<()> {
        let container = self.entry(id)?.container;
        let (exec, _) = self.run(id, &request, true).await?;
        self.keep(id, &container, Arc::new(exec));
        Ok(())
    }

    async fn start(&self, id: &str, request: ExecStartRequest) -> Result<Attached> {
        let entry = self.entry(id)?;
        let container = entry.container;
        let (mut exec, tty) = self.run(id, &request, false).await?;
        let stream = exec.stream.take();
        let exec = Arc::new(exec);
        let noted = self.keep(id, &container, exec.clone());
        let stream: Box<dyn api::Duplex> = match stream {
            Some(stream) => Box::new(Ending::new(stream, async move {
                if exec.runs().await {
                    return;
                }
                drop(exec);
                let _ = noted.await;
            })),
            None => Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink())),
        };
        let keys = Keys::parse(&entry.request.detach_keys).filter(|_| tty && entry.request.attach_stdin);
        let stream: Box<dyn api::Duplex> = match keys {
            None => stream,
            Some(keys) => {
                let (this, id) = (self.clone(), id.to_string());
                Box::new(Detachable::new(stream, keys, move || {
                    if let Ok(handle) = this.kit.registry.get(&container) {
                        this.emit("exec_detach", &handle.view(), &id, &[], None);
                    }
                }))
            }
        };
        Ok(Attached { tty, stream })
    }

    async fn resize(&self, id: &str, size: TerminalSize) -> Result<()> {
        match self.entry(id)?.state {
            State::Running(exec) => exec
                .resize(size.width, size.height)
                .await
                .map_err(|e| system(format!("cannot resize the terminal: {e}"))),
            State::Ended { .. } => Err(system("cannot resize a stopped container")),
            _ => Err(system(format!("exec process {id} is not running"))),
        }
    }

    async fn inspect(&self, id: &str) -> Result<ExecInspect> {
        let entry = self.entry(id)?;
        let request = &entry.request;
        let (running, exit_code, pid) = match &entry.state {
            State::Created | State::Starting => (false, None, 0),
            State::Running(handle) => (true, None, i64::from(handle.pid)),
            State::Ended { exit_code, pid, .. } => (false, Some(*exit_code), *pid),
        };
        let mut words = request.cmd.iter().cloned();
        let entrypoint = words.next().unwrap_or_default();
        Ok(ExecInspect {
            id: id.into(),
            running,
            exit_code,
            process_config: ProcessConfig {
                tty: request.tty,
                entrypoint,
                arguments: words.collect::<Vec<_>>().into(),
                privileged: Some(request.privileged),
                user: request.user.clone(),
            },
            open_stdin: request.attach_stdin,
            open_stderr: request.attach_stderr,
            open_stdout: request.attach_stdout,
            can_remove: false,
            container_id: entry.container.clone(),
            detach_keys: Some(Keys::given(&request.detach_keys)),
            pid,
        })
    }
}
