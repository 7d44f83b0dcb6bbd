//! The whole of it: opened, handed out as small services, shut down. Starting is recovering; there is no other way up.

use crate::config::{Config, Live, Settings};
use crate::containers::{Containers, Kit, Registry};
use crate::error::{Result, io, system};
use crate::events::Events;
use crate::execs::Execs;
use crate::home::Home;
use crate::host::Host;
use crate::images::{ImagesService, Tending};
use crate::launch::{Seccomp, blocking};
use crate::networks::{self, Networks, OverlayNetworks};
use crate::subids::Subids;
use crate::system::System;
use crate::volumes::{Foreign, VolumeTable, Volumes};
use crate::{execs, files};
use shoal_node_drivers_cgroup::Hierarchy;
use shoal_node_drivers_images::Images;
use shoal_node_drivers_runtime::quota::Quotas;
use shoal_node_drivers_shim::Launcher;
use shoal_node_drivers_volumes::Quota;
use std::sync::Arc;

/// One node's Docker. Cheap to clone; every service in it can be used without HTTP.
#[derive(Clone)]
pub struct Engine {
    pub containers: Containers,
    pub execs: Execs,
    pub images: ImagesService,
    pub networks: Networks,
    /// The cluster's networks on this host.
    pub overlays: OverlayNetworks,
    pub volumes: Volumes,
    pub system: System,
    pub events: Events,
    home: Arc<Home>,
    _tending: Tending,
}

/// A cgroup parent of `--cgroup-parent`, else our own name below what we were delegated.
fn cgroup_parent(config: &Config, hierarchy: &Hierarchy, sid: &str) -> String {
    if !config.cgroup_parent.is_empty() {
        return config.cgroup_parent.clone();
    }
    hierarchy.parent_for(sid)
}

impl Engine {
    /// Opens the data root and takes over what is there. When this returns every container is known and in its true
    /// state; restart policies work from then on.
    pub async fn start(mut config: Config) -> Result<Engine> {
        // Shims and specifications are read elsewhere than where we were started.
        for path in [&mut config.shim_bin, &mut config.data_root, &mut config.exec_root] {
            *path = std::path::absolute(&*path).map_err(io("find", path.display()))?;
        }
        let config = Arc::new(config);
        let events = Events::default();
        let opened = {
            let (config, events) = (config.clone(), events.clone());
            blocking(move || open(&config, events)).await?
        };
        let (home, kit) = opened;
        let kit = Arc::new(kit);
        let containers = Containers::new(kit.clone());
        containers.recover().await?;
        kit.volumes.sweep().await;
        let table = kit.networks.clone();
        blocking(move || networks::settle(&table).and_then(|()| networks::tend(&table))).await?;
        let images = ImagesService::new(
            kit.images.clone(),
            kit.registry.clone(),
            events.clone(),
            &config.data_root,
        );
        let tending = images.tend(kit.live.clone());
        let volumes = Volumes::new(kit.volumes.clone(), kit.registry.clone());
        let system = System::new(
            kit.clone(),
            config.clone(),
            home.engine_id.clone(),
            containers.clone(),
            images.clone(),
            volumes.clone(),
        );
        let engine = Engine {
            execs: Execs::new(kit.clone()),
            overlays: OverlayNetworks(kit.networks.clone()),
            networks: Networks::new(kit.networks.clone(), kit.registry.clone()),
            images,
            volumes,
            system,
            events,
            containers,
            home: Arc::new(home),
            _tending: tending,
        };
        engine.containers.boot().await;
        Ok(engine)
    }

    /// The daemon goes down. Containers run on with `live-restore`; without it they are stopped, all at once.
    pub async fn shutdown(&self) {
        let live = self.system.live();
        if !live.live_restore {
            self.containers
                .stop_all(u64::try_from(live.shutdown_timeout).ok())
                .await;
        }
        if let Err(error) = self.images.store().settle().await {
            tracing::warn!("the next start may have to unpack layers again: {error}");
        }
    }

    /// From now on these settings count.
    pub fn reload(&self, live: Live) {
        let store = self.images.store();
        let now = (*store.registries()).clone();
        store.set_registries(crate::images::with_live(now, &live));
        self.system.set_live(live);
    }

    /// 32 hex digits, the same for as long as the data root lives.
    pub fn id(&self) -> &str {
        &self.home.engine_id
    }

    /// The part of the id that names this daemon's things in the kernel.
    pub fn sid(&self) -> &str {
        self.home.sid()
    }
}

/// Everything that blocks: the data root, the kernel, the stores.
fn open(config: &Config, events: Events) -> Result<(Home, Kit)> {
    let home = Home::open(&config.data_root).map_err(|e| system(e.to_string()))?;
    let hierarchy = Hierarchy::detect().map_err(|e| system(e.to_string()))?;
    let host = Host::read(&hierarchy)?;
    let (run_root, seccomp_dir) = (config.exec_root.join("c"), config.exec_root.join("seccomp"));
    for (dir, mode) in [
        (&config.exec_root, 0o711),
        (&run_root, 0o700),
        (&seccomp_dir, 0o700),
    ] {
        files::make_dir(dir, mode).map_err(io("create", dir.display()))?;
    }
    let launcher = Launcher::open(&config.shim_bin).map_err(|e| system(e.to_string()))?;
    let cgroup_parent = cgroup_parent(config, &hierarchy, home.sid());
    hierarchy
        .prepare_parent(&cgroup_parent)
        .map_err(|e| system(e.to_string()))?;
    let registries = crate::images::registries(config)?;
    let images = Images::open(&config.data_root, registries).map_err(crate::images::error)?;
    let registry = Registry::default();
    let volumes = shoal_node_drivers_volumes::Volumes::open(&config.data_root.join("volumes"))
        .map_err(|e| system(e.to_string()))?;
    let homes = [
        config.data_root.join("snapshots"),
        config.data_root.join("volumes"),
    ];
    let quotas = Quotas::open(&config.data_root, &homes).map(Arc::new);
    let volumes = volumes.with_quota(quotas.clone().map(|quotas| {
        Quota(Arc::new(move |dir: &std::path::Path, bytes| {
            quotas.limit(&[dir], bytes)
        }))
    }));
    let foreign = Foreign::open(
        &config.data_root.join("volumes"),
        shoal_node_drivers_plugins::Plugins::default(),
    )?;
    let networks = networks::open(
        home.sid(),
        &config.data_root,
        &config.bridge,
        events.clone(),
        config.cluster.clone(),
    )?;
    let kit = Kit {
        images,
        volumes: VolumeTable::new(volumes, foreign, registry.clone(), events.clone()),
        networks,
        execs: execs::Table::default(),
        views: Default::default(),
        seccomp: Seccomp::new(seccomp_dir, host.kernel, config.defaults.seccomp.clone()),
        launcher,
        logs: crate::logging::Tender::new(events.clone()),
        events,
        registry,
        hierarchy,
        host,
        live: Settings::new(config.live.clone()),
        cdi_dirs: config.cdi_dirs.clone(),
        quotas,
        subids: Subids::open(&config.userns_remap)?,
        defaults: config.defaults.clone(),
        containers_root: home.containers(),
        run_root,
        home_tmp: home.tmp(),
        init_bin: config.init_bin.clone().unwrap_or_else(|| config.shim_bin.clone()),
        cgroup_parent,
    };
    Ok((home, kit))
}
