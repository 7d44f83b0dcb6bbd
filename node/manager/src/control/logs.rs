//! `/services/{id}/logs` and `/tasks/{id}/logs`.

use super::Control;
use super::service::find_service;
use super::task::find_task;
use crate::logbroker::Lines;
use shoal_api_backend::{BoxStream, Bytes, Error, LogStream, Logs, Result};
use shoal_api_types::Timestamp;
use shoal_api_wire::dispatcher::LogOptions;
use shoal_api_wire::logs::{Batch, Line};
use shoal_raft_objects::{NodeId, Task, TaskId, TaskState};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

impl Control {
    pub async fn service_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        let state = self.manager.ledger.current().await?;
        let service = find_service(&state, id)?;
        let tty = is_tty(service.spec.task_template.container_spec.as_ref());
        if tty {
            return Err(Error::not_implemented(
                "tty service logs only supported on individual tasks; reading them of a whole service",
            ));
        }
        let tasks: Vec<Arc<Task>> = state.tasks_of_service(&service.id).cloned().collect();
        self.logs(tasks, options, false)
    }

    pub async fn task_logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        let state = self.manager.ledger.current().await?;
        let task = find_task(&state, id)?;
        let tty = is_tty(task.spec.container_spec.as_ref());
        self.logs(vec![task], options, tty)
    }

    fn logs(&self, tasks: Vec<Arc<Task>>, options: Logs, tty: bool) -> Result<LogStream> {
        if !options.stdout && !options.stderr {
            return Err(Error::invalid(
                "Bad parameters: you must choose at least one stream",
            ));
        }
        let mut by_node: BTreeMap<NodeId, Vec<TaskId>> = BTreeMap::new();
        let mut known = HashMap::new();
        for task in tasks {
            // A task without a node has said nothing.
            if !task.node_id.is_empty() && task.status.state >= TaskState::Assigned {
                by_node
                    .entry(task.node_id.clone())
                    .or_default()
                    .push(task.id.clone());
            }
            known.insert(task.id.to_string(), task);
        }
        let wanted = LogOptions {
            stdout: options.stdout,
            stderr: options.stderr,
            follow: options.follow,
            since: options
                .since
                .map_or(0, |since| i64::try_from(since.unix_nanos()).unwrap_or(0)),
            tail: options
                .tail
                .map_or(-1, |tail| i64::try_from(tail).unwrap_or(i64::MAX)),
        };
        let lines: Lines = self
            .manager
            .broker
            .follow(&self.manager.sessions, by_node, wanted);
        let render = Render {
            known,
            timestamps: options.timestamps,
            details: options.details,
            until: options.until,
            tty,
        };
        let frames = ReceiverStream::new(lines).map(move |batch| match batch {
            Ok(batch) => Ok(render.batch(&batch)),
            Err(status) => Err(Error::system(status.message().to_owned())),
        });
        let frames: BoxStream<Result<Bytes>> = Box::pin(frames);
        Ok(LogStream { tty, frames })
    }
}

fn is_tty(container: Option<&shoal_raft_objects::ContainerSpec>) -> bool {
    container
        .and_then(|c| c.rest.get("TTY"))
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(false)
}

struct Render {
    known: HashMap<String, Arc<Task>>,
    timestamps: bool,
    details: bool,
    until: Option<Timestamp>,
    tty: bool,
}

impl Render {
    fn batch(&self, batch: &Batch) -> Bytes {
        let mut out = Vec::new();
        for line in &batch.lines {
            self.line(line, &mut out);
        }
        if !batch.error.is_empty() {
            // What is missing is said where a reader sees it, and the rest is still shown.
            frame(
                3,
                format!("error from daemon in stream: {}\n", batch.error).as_bytes(),
                self.tty,
                &mut out,
            );
        }
        out.into()
    }

    fn line(&self, line: &Line, out: &mut Vec<u8>) {
        let at = Timestamp::from_unix_nanos(line.timestamp.into());
        if self.until.is_some_and(|until| !until.is_zero() && at > until) {
            return;
        }
        let mut text = String::new();
        if self.timestamps {
            // Fixed width, so that clients can cut it off.
            let _ = write!(text, "{} ", fixed(line.timestamp));
        }
        if self.details {
            // Without these the stock CLI cannot say whose line it is.
            let service = self
                .known
                .get(&line.task_id)
                .map_or("", |t| t.service_id.as_str());
            let _ = write!(
                text,
                "com.docker.swarm.node.id={},com.docker.swarm.service.id={service},com.docker.swarm.task.id={} ",
                line.node_id, line.task_id
            );
        }
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&line.data);
        frame(if line.stream == 2 { 2 } else { 1 }, &bytes, self.tty, out);
    }
}

/// RFC 3339 with all nine digits.
fn fixed(nanos: i64) -> String {
    let whole = Timestamp::from_unix(nanos.div_euclid(1_000_000_000), 0).to_string();
    format!(
        "{}.{:09}Z",
        whole.trim_end_matches('Z'),
        nanos.rem_euclid(1_000_000_000)
    )
}

fn frame(stream: u8, bytes: &[u8], tty: bool, out: &mut Vec<u8>) {
    if !tty {
        out.extend_from_slice(&[stream, 0, 0, 0]);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(bytes);
}
