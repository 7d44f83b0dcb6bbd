//! What the daemon is doing, for somebody who wonders why it does not: written to a file in the exec root on SIGUSR1 and
//! SIGQUIT, as dockerd writes its stacks.

use shoal_api_backend::ListContainers;
use shoal_node_engine::Engine;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A container's actor that says nothing for this long is stuck, which the report then says.
const PATIENCE: Duration = Duration::from_secs(2);

pub async fn write(exec_root: &Path, engine: &Engine) {
    let text = text(engine).await;
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let path = exec_root.join(format!("task-states-{seconds}.log"));
    match std::fs::write(&path, text) {
        Ok(()) => tracing::info!("task states written to {}", path.display()),
        Err(error) => tracing::error!(%error, "task states could not be written to {}", path.display()),
    }
}

async fn text(engine: &Engine) -> String {
    let mut out = String::new();
    let metrics = tokio::runtime::Handle::current().metrics();
    let _ = writeln!(
        out,
        "tasks: {} alive, {} wait for a thread, {} threads",
        metrics.num_alive_tasks(),
        metrics.global_queue_depth(),
        metrics.num_workers()
    );
    let _ = writeln!(out, "readers of events: {}", engine.events.listeners());
    let all = ListContainers {
        all: true,
        ..ListContainers::default()
    };
    match tokio::time::timeout(PATIENCE, engine.containers.list(all)).await {
        Ok(Ok(containers)) => {
            let _ = writeln!(out, "containers: {}", containers.len());
            for one in containers {
                let _ = writeln!(out, "  {} {} {}", one.id, one.state, one.names.join(" "));
            }
        }
        Ok(Err(error)) => drop(writeln!(out, "containers: {error}")),
        Err(_) => drop(writeln!(out, "containers: no answer within {PATIENCE:?}")),
    }
    out.push_str("threads: name, state, where in the kernel\n");
    for thread in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let state = read("stat");
        let state = state
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').next().map(str::to_owned));
        let _ = writeln!(
            out,
            "  {} {} {}",
            read("comm").trim(),
            state.unwrap_or_default(),
            read("wchan").trim()
        );
    }
    out
}
