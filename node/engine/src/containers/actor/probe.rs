//! Health checks of one run: probes in the container at their pace, one at a time, and what their results mean.

use super::{Actor, Input};
use crate::clock;
use crate::containers::handle::View;
use crate::containers::kit::Kit;
use crate::containers::record::{HealthRun, Record, Run};
use crate::ids;
use shoal_api_types::Slice;
use shoal_api_types::container::{HealthConfig, HealthcheckResult};
use shoal_api_types::exec::{ExecCreateRequest, ExecStartRequest};
use shoal_node_core_host::health::{Rules, Status, duration};
use shoal_node_core_host::lifecycle::Time;
use shoal_node_drivers_shim::Shim;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;

const OUTPUT_BYTES_MAX: usize = 4096;
const LOG_MAX: usize = 5;
/// Docker's code for a probe that took too long.
const TIMED_OUT: i64 = -1;
const KILLED: i64 = 137;
/// The end of a container is known this long after that of its processes.
const LAST_BREATH: Duration = Duration::from_millis(100);

/// The command, or nothing when there is no check.
fn command(config: &HealthConfig, shell: &[String]) -> Option<Vec<String>> {
    match config.test.first()?.as_str() {
        "NONE" => None,
        "CMD" => Some(config.test[1..].to_vec()),
        "CMD-SHELL" => {
            let mut words = if shell.is_empty() {
                vec!["/bin/sh".to_string(), "-c".into()]
            } else {
                shell.to_vec()
            };
            words.extend(config.test.get(1).cloned());
            Some(words)
        }
        _ => None,
    }
}

fn rules(config: &HealthConfig) -> Rules {
    let ms = |ns: i64, default: u64| if ns > 0 { (ns / 1_000_000) as u64 } else { default };
    let default = Rules::default();
    Rules {
        interval_ms: ms(config.interval, default.interval_ms),
        timeout_ms: ms(config.timeout, default.timeout_ms),
        start_period_ms: ms(config.start_period, default.start_period_ms),
        start_interval_ms: ms(config.start_interval, default.start_interval_ms),
        retries: u64::try_from(config.retries)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(default.retries),
    }
}

/// Begins the probes of a new process.
pub(super) fn start(
    kit: &Arc<Kit>,
    record: &Arc<Record>,
    run: &mut Run,
    shim: &Shim,
    number: u64,
) -> Option<tokio::task::AbortHandle> {
    let config = record.config.healthcheck.as_ref()?;
    let words = command(config, &record.config.shell)?;
    let rules = rules(config);
    if run.health.is_none() {
        run.health = Some(HealthRun::default());
    }
    let (kit, record, shim) = (kit.clone(), record.clone(), shim.clone());
    let task = async move {
        let started_at = clock::now();
        let request = Arc::new(ExecCreateRequest {
            cmd: Slice::from(words),
            attach_stdout: true,
            attach_stderr: true,
            ..ExecCreateRequest::default()
        });
        loop {
            let Ok(handle) = kit.registry.get(&record.id) else {
                return;
            };
            let health = handle
                .view()
                .health
                .as_ref()
                .map(|h| h.health)
                .unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(health.wait_ms(
                started_at,
                clock::now(),
                &rules,
            )))
            .await;
            let view = handle.view();
            if view.state.phase != shoal_node_core_host::lifecycle::Phase::Running {
                continue;
            }
            let view = Arc::new(View {
                shim: Some(shim.clone()),
                ..(*view).clone()
            });
            let result = Box::new(probe(&kit, &view, &request, &rules).await);
            drop(view);
            if result.exit_code == KILLED {
                // Together with the container, perhaps: then this task ends with it, and the check did not fail.
                tokio::time::sleep(LAST_BREATH).await;
            }
            handle.tell(Input::Probed { result, run: number }).await;
        }
    };
    Some(tokio::spawn(task).abort_handle())
}

async fn probe(
    kit: &Arc<Kit>,
    view: &Arc<View>,
    request: &Arc<ExecCreateRequest>,
    rules: &Rules,
) -> HealthcheckResult {
    let start = clock::now();
    let end = |exit_code: i64, output: String| HealthcheckResult {
        start: clock::timestamp(start),
        end: clock::timestamp(clock::now()),
        exit_code,
        output,
    };
    let id = ids::new();
    let emit = |action: &str, cmd: &[String], code: Option<i32>| {
        crate::execs::emit(&kit.events, action, &view.record, &id, cmd, code);
    };
    emit("exec_create", &request.cmd, None);
    let made = crate::execs::make(kit, view, &id, request, &ExecStartRequest::default(), false).await;
    let mut exec = match made {
        Ok(exec) => exec,
        Err((_, e)) => return end(-1, e.message),
    };
    emit("exec_start", &request.cmd, None);
    let mut output = Vec::new();
    let stream = exec.stream.take();
    let run = async {
        if let Some(mut stream) = stream {
            read(&mut stream, &mut output).await;
        }
        exec.exited().await
    };
    let done = tokio::time::timeout(Duration::from_millis(rules.timeout_ms), run).await;
    match done {
        Ok(exit) => {
            emit("exec_die", &[], Some(exit.code));
            end(
                i64::from(exit.code),
                String::from_utf8_lossy(&output).into_owned(),
            )
        }
        Err(_) => {
            let _ = exec.signal(9).await;
            emit("exec_die", &[], Some(137));
            let said = match String::from_utf8_lossy(&output) {
                said if said.is_empty() => String::new(),
                said => format!(": {said}"),
            };
            let limit = duration(rules.timeout_ms);
            end(
                TIMED_OUT,
                format!("Health check exceeded timeout ({limit}){said}"),
            )
        }
    }
}

/// The payload of Docker's frames, the first 4 KiB of it kept.
async fn read(stream: &mut tokio::net::UnixStream, output: &mut Vec<u8>) {
    let mut head = [0u8; 8];
    let mut piece = vec![0u8; 4096];
    while stream.read_exact(&mut head).await.is_ok() {
        let mut left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        while left > 0 {
            let want = left.min(piece.len());
            match stream.read(&mut piece[..want]).await {
                Ok(n @ 1..) => {
                    let room = OUTPUT_BYTES_MAX.saturating_sub(output.len()).min(n);
                    output.extend_from_slice(&piece[..room]);
                    left -= n;
                }
                _ => return,
            }
        }
    }
}

impl Actor {
    /// Nobody looks at it any more: as with Docker it counts as unhealthy then, and no event says so.
    pub(super) fn unwatched(&mut self) {
        if let Some(run) = &mut self.run.health {
            run.health.status = Status::Unhealthy;
        }
    }

    /// Notes a probe's result; true when the container has just become unhealthy.
    pub(super) fn probed(&mut self, result: HealthcheckResult, number: u64) -> bool {
        if number != self.run.state.exits || !self.run.state.phase.is_live() {
            return false;
        }
        let Some(config) = &self.record.config.healthcheck else {
            return false;
        };
        let rules = rules(config);
        let started_at = self.run.state.started_at;
        let Some(run) = &mut self.run.health else {
            return false;
        };
        let before = run.health.status;
        let probed_at = Time(i64::try_from(result.start.unix_nanos()).unwrap_or(0));
        let code = if result.exit_code == 0 { 0 } else { 1 };
        self.kit.events.figures().health_check(code != 0);
        run.health = run.health.after(code, started_at, probed_at, &rules);
        let after = run.health.status;
        run.log.push_back(result);
        while run.log.len() > LOG_MAX {
            run.log.pop_front();
        }
        if let Err(error) = self.persist() {
            tracing::warn!(%error, "a health check's result could not be written");
        }
        self.publish();
        if before != after {
            let attributes = crate::containers::attributes(&self.record);
            let action = format!("health_status: {}", after.as_str());
            self.kit
                .events
                .publish("container", &action, &self.record.id, attributes);
        }
        before != after && after == Status::Unhealthy
    }
}
