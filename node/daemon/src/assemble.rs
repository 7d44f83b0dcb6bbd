//! Puts the rooms together, in the order in which they need each other, and takes them down in the other one.

use crate::attachments::Attachments;
use crate::authz::Authorization;
use crate::config::{Config, Loaded};
use crate::executor::TaskRunner;
use crate::host::{LocalAgents, NodeSystem, SwarmEvents, Troubles, TunnelledApi};
use crate::listen::{self, Plan};
use crate::neighbours::OfferedImages;
use crate::networks::AllNetworks;
use crate::seat::Seat;
use crate::signals::{Signals, Wish};
use crate::{metrics, ready};
use anyhow::{Context, Result, anyhow};
use shoal_api_http::{Backends, Serving, router, serve};
use shoal_node_core_host::imagekeep::Policy;
use shoal_node_drivers_plugins::Plugins;
use shoal_node_engine::{
    Bridge, Config as EngineConfig, Defaults, Engine, ImageKeep, Live, OWN_RUNTIMES, Proxies, Runtime,
    SeccompDefault,
};
use shoal_node_manager::Config as SwarmConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A seccomp profile is some ten kilobytes.
const PROFILE_BYTES_MAX: u64 = 1 << 20;
/// Replies under way may finish within this time when the daemon ends.
const GRACE: Duration = Duration::from_millis(500);

/// From the configuration to the end of the daemon.
pub async fn run(loaded: Loaded, plan: Plan) -> Result<()> {
    let config = &loaded.config;
    // Signals first: an end that is asked for while containers are taken over must not be lost.
    let signals = Signals::new().context("listening for signals")?;
    if config.oom_score_adjust != 0 {
        // Containers and their shims have scores of their own.
        std::fs::write("/proc/self/oom_score_adj", config.oom_score_adjust.to_string())
            .with_context(|| format!("setting oom-score-adjust to {}", config.oom_score_adjust))?;
    }
    let mut engine = engine_config(config)?;
    // What lies beside the configuration file counts as well.
    if let Some(beside) = loaded
        .args
        .config_file
        .as_deref()
        .and_then(|file| Path::new(file).parent())
    {
        engine.registry_certificates.push(beside.join("certs.d"));
    }
    let attachments = Attachments::new(shoal_node_manager::is_member(&config.data_root.join("swarm")));
    engine.cluster = Some(attachments.as_cluster());
    let mut engine = Engine::start(engine).await.map_err(|e| anyhow!("{e}"))?;
    attachments.serve(&engine);
    let oldest = config.min_api_version().map_err(anyhow::Error::msg)?;
    engine.system.serve_from(&format!("1.{oldest}"));
    let runner = Arc::new(TaskRunner {
        containers: Arc::new(engine.containers.clone()),
        images: engine.images.clone(),
        system: Arc::new(engine.system.clone()),
        networks: Arc::new(engine.networks.clone()),
        overlays: engine.overlays.clone(),
        attachments,
        others: Arc::default(),
    });
    let authorization = Authorization::new(Plugins::default(), config.authorization_plugins.clone());
    authorization.check().await?;
    let (dir, events) = (config.data_root.join("swarm"), engine.events.clone());
    let swarm = Seat::open(move || SwarmConfig {
        dir: dir.clone(),
        agents: Arc::new(LocalAgents::new(runner.clone())),
        events: Arc::new(SwarmEvents::new(events.clone())),
        images: Some(Arc::new(OfferedImages::new(runner.clone()))),
        timing: Default::default(),
    })
    .await;
    let troubles = Troubles::default();
    let api = router(Backends {
        containers: Arc::new(engine.containers.clone()),
        execs: Arc::new(engine.execs.clone()),
        images: Arc::new(engine.images.clone()),
        networks: Arc::new(AllNetworks::new(
            Arc::new(engine.networks.clone()),
            engine.overlays.clone(),
            swarm.clone(),
        )),
        volumes: Arc::new(engine.volumes.clone()),
        system: Arc::new(NodeSystem::new(
            engine.system.clone(),
            swarm.clone(),
            troubles.clone(),
        )),
        swarm: swarm.clone(),
        forwarding: swarm.clone(),
    })
    .serving_from(oldest)
    .guarded_by(Arc::new(authorization.clone()));
    swarm.serve_with(Arc::new(TunnelledApi::new(api.clone())));

    let shutdown = CancellationToken::new();
    if let Some(address) = config.metrics_addr.as_deref().filter(|a| !a.is_empty()) {
        metrics::serve(address, engine.clone(), shutdown.clone()).await?;
    }
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
    ready::notify(ready::READY);
    let signals = attend(signals, &loaded, &engine, &authorization).await;
    ready::notify(ready::STOPPING);
    let done = CancellationToken::new();
    tokio::spawn(signals.impatient(done.clone()));
    tracing::info!("shutting down");
    shutdown.cancel();
    swarm.shutdown().await;
    engine.shutdown().await;
    serving.wait().await;
    done.cancel();
    tracing::info!("daemon shutdown complete");
    Ok(())
}

/// Serves signals until one of them ends the daemon.
async fn attend(
    mut signals: Signals,
    loaded: &Loaded,
    engine: &Engine,
    authorization: &Authorization,
) -> Signals {
    loop {
        match signals.next().await {
            Wish::End => return signals,
            Wish::Reload => {
                tracing::info!("reloading the configuration");
                ready::notify(ready::RELOADING);
                let done = crate::config::reload(loaded)
                    .map_err(anyhow::Error::from)
                    .and_then(|config| Ok((live(&config)?, config)));
                match done {
                    Ok((live, config)) => {
                        crate::logging::reload(&config);
                        authorization.set(live.authorization_plugins.clone());
                        engine.reload(live);
                        crate::reload::tell(engine, &config);
                    }
                    Err(e) => tracing::error!("the configuration is not reloaded: {e:#}"),
                }
                ready::notify(ready::READY);
            }
            Wish::Report => crate::report::write(&loaded.config.exec_root, engine).await,
        }
    }
}

fn engine_config(config: &Config) -> Result<EngineConfig> {
    let said = anyhow::Error::msg;
    let mut engine = EngineConfig::new(&config.data_root, &config.exec_root, shim()?);
    fn network<T: std::str::FromStr>(flag: &str, value: &Option<String>) -> Result<Option<T>>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let parse = |text: &String| text.parse().with_context(|| format!("invalid --{flag} {text:?}"));
        value
            .as_ref()
            .filter(|text| !text.is_empty())
            .map(parse)
            .transpose()
    }
    engine.bridge = Bridge {
        name: config.bridge.clone(),
        address: network("bip", &config.bip)?,
        fixed_cidr: network("fixed-cidr", &config.fixed_cidr)?,
        ipv6: config.ipv6,
        address_v6: network("bip6", &config.bip6)?,
        fixed_cidr_v6: network("fixed-cidr-v6", &config.fixed_cidr_v6)?,
        host_binding: network("ip", &config.ip)?,
        mtu: u32::try_from(config.mtu)?,
        icc: config.icc,
        masquerade: config.ip_masq,
        forward: config.ip_forward,
        pass_on: config.userland_proxy,
        pools: config.address_pools().map_err(said)?,
    };
    engine.init_bin.clone_from(&config.init_path);
    engine.cgroup_parent = config.cgroup_parent.clone().unwrap_or_default();
    if !config.cdi_spec_dirs.is_empty() {
        engine.cdi_dirs.clone_from(&config.cdi_spec_dirs);
    }
    engine.userns_remap.clone_from(&config.userns_remap);
    engine.live = live(config)?;
    engine.proxies = Proxies {
        http: or_environment(&config.http_proxy, "HTTP_PROXY"),
        https: or_environment(&config.https_proxy, "HTTPS_PROXY"),
        no: or_environment(&config.no_proxy, "NO_PROXY"),
    };
    engine.defaults = Defaults {
        log_driver: config.log_driver.clone(),
        log_opts: config.log_opts.clone().into_iter().collect(),
        init: config.init,
        no_new_privileges: config.no_new_privileges,
        seccomp: seccomp(&config.seccomp_profile)?,
        ulimits: config.ulimits().map_err(said)?,
        dns: config.dns.clone(),
        dns_search: config.dns_search.clone(),
        dns_options: config.dns_opts.clone(),
    };
    Ok(engine)
}

/// What the configuration says, or the environment in capitals or not.
fn or_environment(configured: &str, name: &str) -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match configured {
        "" => set(name)
            .or_else(|| set(&name.to_ascii_lowercase()))
            .unwrap_or_default(),
        value => value.to_owned(),
    }
}

/// What a SIGHUP may change.
fn live(config: &Config) -> Result<Live> {
    let or = |value: i64, default: i64| if value == 0 { default } else { value };
    let runtimes = config.runtimes.iter().map(|(name, runtime)| {
        // What containerd calls by its shim for runc is a program as well, where one is named.
        let named = runtime.options.get("BinaryName").and_then(|name| name.as_str());
        let path = match runtime.path.as_str() {
            "" => named.unwrap_or_default().to_owned(),
            path => path.to_owned(),
        };
        let (args, kind) = (runtime.runtime_args.clone(), runtime.runtime_type.clone());
        (name.clone(), Runtime { path, args, kind })
    });
    let default = config.default_runtime.as_str();
    if !OWN_RUNTIMES.contains(&default) && !config.runtimes.contains_key(default) {
        return Err(anyhow!("specified default runtime '{default}' does not exist"));
    }
    Ok(Live {
        debug: config.debug,
        labels: config.labels.clone(),
        insecure_registries: config.insecure_registries.clone(),
        registry_mirrors: config.registry_mirrors.clone(),
        downloads_max: usize::try_from(or(config.max_concurrent_downloads, 3))?,
        uploads_max: usize::try_from(or(config.max_concurrent_uploads, 5))?,
        download_attempts_max: u32::try_from(or(config.max_download_attempts, 5))?,
        live_restore: config.live_restore,
        shutdown_timeout: config.shutdown_timeout,
        authorization_plugins: config.authorization_plugins.clone(),
        runtimes: runtimes.collect(),
        default_runtime: config.default_runtime.clone(),
        shm_bytes: config.shm_bytes().map_err(anyhow::Error::msg)?,
        ipc_mode: config.default_ipc_mode.clone(),
        cgroupns_mode: config.default_cgroupns_mode.clone(),
        images: keep(config)?,
    })
}

/// Which images leave the disk by themselves.
fn keep(config: &Config) -> Result<ImageKeep> {
    let low = match config.image_gc_low {
        0 => (config.image_gc_high - 10).max(0),
        low => low,
    };
    Ok(ImageKeep {
        policy: Policy {
            high: u8::try_from(config.image_gc_high)?,
            low: u8::try_from(low)?,
            keep_releases: usize::try_from(config.image_gc_keep_releases)?,
            spare_seconds: config.image_gc_spare,
        },
        every: Duration::from_secs(u64::try_from(config.image_gc_every.max(1))?),
    })
}

/// The daemon's own seccomp profile: read once, as a start of a container must not depend on a file.
fn seccomp(profile: &str) -> Result<SeccompDefault> {
    let path = match profile {
        "" | "builtin" => return Ok(SeccompDefault::Builtin),
        "unconfined" => return Ok(SeccompDefault::Unconfined),
        path => path,
    };
    let failed = || format!("opening seccomp profile ({path}) failed");
    let size = std::fs::metadata(path).with_context(failed)?.len();
    if size > PROFILE_BYTES_MAX {
        return Err(anyhow!(
            "opening seccomp profile ({path}) failed: it is larger than {PROFILE_BYTES_MAX} bytes"
        ));
    }
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let path = path.to_owned();
    Ok(SeccompDefault::Profile { path, text })
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
