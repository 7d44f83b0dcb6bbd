//! Prometheus' figures on `--metrics-addr`: found out when somebody scrapes, and only then.

mod containers;
mod text;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shoal_api_backend::{ListContainers, System};
use shoal_node_engine::{ACTIONS, BOUNDS, Engine};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use text::Text;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Scrapers at once, and how long one may take to say what it wants.
const SCRAPERS_MAX: usize = 16;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The kernel's unit of time in /proc, the same on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens when this returns; answers until `end`.
pub async fn serve(address: &str, engine: Engine, end: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to start metrics server: listen tcp {address}"))?;
    tracing::info!(address, "metrics listening");
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(SCRAPERS_MAX));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = end.cancelled() => return,
            };
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (engine, end) = (engine.clone(), end.clone());
            tokio::spawn(async move {
                let _permit = permit;
                let service = service_fn(move |request| answer(request, engine.clone()));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(socket), service);
                tokio::select! {
                    _ = connection => {}
                    () = end.cancelled() => {}
                }
            });
        }
    });
    Ok(())
}

async fn answer(request: Request<Incoming>, engine: Engine) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, body) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, KIND, scrape(&engine).await),
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            "404 page not found\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    Ok(response)
}

async fn scrape(engine: &Engine) -> String {
    let mut out = Text::default();
    let info = engine.system.info().await.unwrap_or_default();
    let read = engine.system.figures().read();
    let name = "engine_daemon_container_actions_seconds";
    out.head(
        name,
        "histogram",
        "The number of seconds it takes to process each container action",
    );
    for (action, histogram) in ACTIONS.iter().zip(&read.actions) {
        out.histogram(
            name,
            &[("action", action)],
            &BOUNDS,
            &histogram.buckets,
            histogram.sum,
        );
    }
    let name = "engine_daemon_container_states_containers";
    out.head(name, "gauge", "The count of containers in various states");
    for (state, count) in [
        ("paused", info.containers_paused),
        ("running", info.containers_running),
        ("stopped", info.containers_stopped),
    ] {
        out.value(name, &[("state", state)], count as f64);
    }
    let one = |out: &mut Text, name: &str, kind: &str, help: &str, value: f64| {
        out.head(name, kind, help);
        out.value(name, &[], value);
    };
    one(
        &mut out,
        "engine_daemon_engine_cpus_cpus",
        "gauge",
        "The number of cpus that the host system of the engine has",
        info.n_cpu as f64,
    );
    let name = "engine_daemon_engine_info";
    out.head(
        name,
        "gauge",
        "The information related to the engine and the OS it is running on",
    );
    let labels = [
        ("architecture", info.architecture.as_str()),
        ("commit", ""),
        ("daemon_id", &info.id),
        ("graphdriver", &info.driver),
        ("kernel", &info.kernel_version),
        ("os", &info.operating_system),
        ("os_type", &info.os_type),
        ("os_version", &info.os_version),
        ("version", &info.server_version),
    ];
    out.value(name, &labels, 1.0);
    for (name, kind, help, value) in [
        (
            "engine_daemon_engine_memory_bytes",
            "gauge",
            "The number of bytes of memory that the host system of the engine has",
            info.mem_total as f64,
        ),
        (
            "engine_daemon_events_subscribers_total",
            "gauge",
            "The number of current subscribers to events",
            engine.events.listeners() as f64,
        ),
        (
            "engine_daemon_events_total",
            "counter",
            "The number of events logged",
            read.events as f64,
        ),
        (
            "engine_daemon_health_checks_failed_total",
            "counter",
            "The total number of failed health checks",
            read.health_checks_failed as f64,
        ),
        (
            "engine_daemon_health_checks_total",
            "counter",
            "The total number of health checks",
            read.health_checks as f64,
        ),
    ] {
        one(&mut out, name, kind, help, value);
    }
    process(&mut out);
    let running = engine.containers.list(ListContainers::default()).await;
    containers::write(&mut out, engine, running.unwrap_or_default()).await;
    out.done()
}

/// The daemon itself, under the names of every Prometheus client.
fn process(out: &mut Text) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<f64>()
            .ok()
    });
    let booted = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = booted
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok());
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count());
    for (name, kind, help, value) in [
        (
            "process_cpu_seconds_total",
            "counter",
            "Total user and system CPU time spent in seconds.",
            field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
        ),
        (
            "process_open_fds",
            "gauge",
            "Number of open file descriptors.",
            Some(descriptors as f64),
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory size in bytes.",
            resident.map(|kib| kib * 1024.0),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "Start time of the process since unix epoch in seconds.",
            field(22)
                .zip(booted)
                .map(|(start, booted)| booted + start / TICKS_PER_SECOND),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory size in bytes.",
            field(23),
        ),
    ] {
        if let Some(value) = value {
            out.head(name, kind, help);
            out.value(name, &[], value);
        }
    }
}
