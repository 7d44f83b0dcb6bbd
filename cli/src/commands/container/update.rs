//! `update`.

use super::options::restart;
use crate::app::Leaf;
use crate::commands::options::{Opt, Takes::*, args, lay, opt};
use crate::commands::parse::*;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::Body;

#[rustfmt::skip]
const OPTIONS: &[Opt] = &[
    opt("blkio-weight", Int, "BlkioWeight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"),
    opt("cpu-period", Int, "CpuPeriod", "Limit CPU CFS (Completely Fair Scheduler) period"),
    opt("cpu-quota", Int, "CpuQuota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    opt("cpu-rt-period", Int, "CpuRealtimePeriod", "Limit the CPU real-time period in microseconds"),
    opt("cpu-rt-runtime", Int, "CpuRealtimeRuntime", "Limit the CPU real-time runtime in microseconds"),
    opt("cpu-shares c", Int, "CpuShares", "CPU shares (relative weight)"),
    opt("cpus", Cpus, "NanoCpus", "Number of CPUs"),
    opt("cpuset-cpus", Text, "CpusetCpus", "CPUs in which to allow execution (0-3, 0,1)"),
    opt("cpuset-mems", Text, "CpusetMems", "MEMs in which to allow execution (0-3, 0,1)"),
    opt("memory m", Bytes, "Memory", "Memory limit"),
    opt("memory-reservation", Bytes, "MemoryReservation", "Memory soft limit"),
    opt("memory-swap", Bytes, "MemorySwap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    opt("pids-limit", Int, "PidsLimit", "Tune container pids limit (set -1 for unlimited)"),
    opt("restart", Text, "", "Restart policy to apply when a container exits"),
];

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "update"],
        also: &[&["update"]],
        about: "Update configuration of one or more containers",
        args: |c| names(args(c, OPTIONS), "CONTAINER"),
        run: |s, m| {
            Box::pin(async move {
                let mut body = json!({});
                lay(m, OPTIONS, &mut body)?;
                if let Some(policy) = text(m, "restart") {
                    body["RestartPolicy"] = restart(policy)?;
                }
                if body == json!({}) {
                    anyhow::bail!("you must provide one or more flags when using this command");
                }
                let body = &body;
                each(&list(m, "names"), |id| async move {
                    let path = format!("/containers/{id}/update");
                    let answer: Json = s.client.json(Method::POST, &path, Body::json(body)?).await?;
                    for warning in answer["Warnings"].as_array().into_iter().flatten() {
                        eprintln!("{}", warning.as_str().unwrap_or_default());
                    }
                    Ok(())
                })
                .await
            })
        },
    }
}
