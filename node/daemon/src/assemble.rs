//! Puts the rooms together, in the order in which they need each other, and takes them down in the other one.

use crate::config::{Config, Loaded};
use crate::executor::TaskRunner;
use crate::host::{LocalAgents, NodeSystem, SwarmEvents, Troubles, TunnelledApi};
use crate::listen::{self, Plan};
use crate::seat::Seat;
use crate::signals::{Signals, Wish};
use anyhow::{Context, Result, anyhow};
use shoal_api_http::{Backends, Serving, router, serve};
use shoal_node_engine::{Bridge, Config as EngineConfig, Defaults, Engine};
use shoal_node_manager::Config as SwarmConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Replies under way may finish within this time when the daemon ends.
const GRACE: Duration = Duration::from_millis(500);

/// From the configuration to the end of the daemon.
pub async fn run(loaded: Loaded, plan: Plan) -> Result<()> {
    let config = &loaded.config;
    // Signals first: an end that is asked for while containers are taken over must not be lost.
    let signals = Signals::new().context("listening for signals")?;
    let engine = Engine::start(engine_config(config)?)
        .await
        .map_err(|e| anyhow!("{e}"))?;
    let runner = Arc::new(TaskRunner {
        containers: Arc::new(engine.containers.clone()),
        images: Arc::new(engine.images.clone()),
        system: Arc::new(engine.system.clone()),
    });
    let (dir, events) = (config.data_root.join("swarm"), engine.events.clone());
    let swarm = Seat::open(move || SwarmConfig {
        dir: dir.clone(),
        agents: Arc::new(LocalAgents::new(runner.clone())),
        events: Arc::new(SwarmEvents::new(events.clone())),
        timing: Default::default(),
    })
    .await;
    let troubles = Troubles::default();
    let api = router(Backends {
        containers: Arc::new(engine.containers.clone()),
        execs: Arc::new(engine.execs.clone()),
        images: Arc::new(engine.images.clone()),
        networks: Arc::new(engine.networks.clone()),
        volumes: Arc::new(engine.volumes.clone()),
        system: Arc::new(NodeSystem::new(
            engine.system.clone(),
            swarm.clone(),
            troubles.clone(),
        )),
        swarm: swarm.clone(),
        forwarding: swarm.clone(),
    });
    swarm.serve_with(Arc::new(TunnelledApi::new(api.clone())));

    let shutdown = CancellationToken::new();
    let bound = listen::bind(&plan).await?;
    let serving = TaskTracker::new();
    let options = || Serving {
        shutdown: shutdown.clone(),
        grace: GRACE,
        ..Serving::default()
    };
    for listener in bound.listeners {
        serving.spawn(serve(listener, api.clone(), options()));
    }
    for taken in bound.taken {
        let (api, options, troubles) = (api.clone(), options(), troubles.clone());
        serving.spawn(async move {
            troubles.lock().push(taken.reason.clone());
            let listener = tokio::select! {
                listener = taken.insist() => listener,
                () = options.shutdown.cancelled() => return,
            };
            troubles.lock().retain(|reason| *reason != taken.reason);
            serve(listener, api, options).await;
        });
    }
    serving.close();
    tracing::info!(id = engine.id(), "API listening on {:?}", plan.sockets);

    let seat = swarm.clone();
    tokio::spawn(async move { seat.insist().await });
    let signals = attend(signals, &loaded, &engine).await;
    let done = CancellationToken::new();
    tokio::spawn(signals.impatient(done.clone()));
    tracing::info!("shutting down");
    shutdown.cancel();
    swarm.shutdown().await;
    engine.shutdown(config.live_restore).await;
    serving.wait().await;
    done.cancel();
    tracing::info!("daemon shutdown complete");
    Ok(())
}

/// Serves signals until one of them ends the daemon.
async fn attend(mut signals: Signals, loaded: &Loaded, engine: &Engine) -> Signals {
    loop {
        match signals.next().await {
            Wish::End => return signals,
            Wish::Reload => {
                tracing::info!("reloading the configuration");
                match crate::config::reload(loaded) {
                    Ok(config) => {
                        SwarmEvents::new(engine.events.clone()).daemon_reloaded(engine.id(), &config)
                    }
                    Err(e) => tracing::error!("the configuration is not reloaded: {e}"),
                }
            }
            Wish::Report => {
                let metrics = tokio::runtime::Handle::current().metrics();
                tracing::info!(
                    workers = metrics.num_workers(),
                    tasks = metrics.num_alive_tasks(),
                    waiting = metrics.global_queue_depth(),
                    "report"
                );
            }
        }
    }
}

fn engine_config(config: &Config) -> Result<EngineConfig> {
    let mut engine = EngineConfig::new(&config.data_root, &config.exec_root, shim()?);
    engine.bridge = Bridge {
        name: config.bridge.clone(),
        mtu: u32::try_from(config.mtu)?,
        ..Bridge::default()
    };
    if let Some(bip) = &config.bip {
        engine.bridge.address = Some(bip.parse().with_context(|| format!("invalid --bip {bip:?}"))?);
    }
    engine.cgroup_parent = config.cgroup_parent.clone().unwrap_or_default();
    engine.insecure_registries = config.insecure_registries.clone();
    engine.registry_mirrors = config.registry_mirrors.clone();
    engine.labels = config.labels.clone();
    engine.live_restore = config.live_restore;
    engine.debug = config.debug;
    engine.shutdown_timeout = config.shutdown_timeout;
    engine.defaults = Defaults {
        log_driver: config.log_driver.clone(),
        log_opts: config.log_opts.clone().into_iter().collect(),
        shm_bytes: config.shm_bytes()?,
        init: config.init,
        no_new_privileges: config.no_new_privileges,
        ulimits: config.ulimits()?,
        dns: config.dns.clone(),
        dns_search: config.dns_search.clone(),
        dns_options: config.dns_opts.clone(),
    };
    Ok(engine)
}

/// The shim stands beside the daemon, wherever that is installed.
fn shim() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let shim = own.with_file_name("shoal-shim");
    if !shim.exists() {
        return Err(anyhow!(
            "{} is missing: it is installed beside shoald",
            shim.display()
        ));
    }
    Ok(shim)
}
