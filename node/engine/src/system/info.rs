//! `docker info`. Clients decide by these fields; the `Swarm` member is the manager's.

use super::{SERVER_VERSION, STORAGE_DRIVER, System};
use crate::clock;
use crate::config::{Live, OWN_RUNTIMES, SeccompDefault};
use shoal_api_types::Slice;
use shoal_api_types::system::{
    AddressPool, Commit, FirewallInfo, IndexInfo, Info, PluginsInfo, RegistryServiceConfig, Runtime,
};
use shoal_node_core_host::imagekeep::Policy;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_cgroup::Controller;
use std::collections::BTreeMap;

const HUB: &str = "https://index.docker.io/v1/";

impl System {
    /// Reads a few files: blocks.
    pub(super) fn describe(&self) -> Info {
        let (kit, config, host, live) = (&self.kit, &self.config, &self.kit.host, self.live());
        let phases: Vec<Phase> = kit
            .registry
            .all()
            .iter()
            .map(|h| h.view())
            .filter(|v| !v.gone)
            .map(|v| v.phase())
            .collect();
        let count = |test: fn(Phase) -> bool| phases.iter().filter(|p| test(**p)).count() as i64;
        let has = |controller| kit.hierarchy.has(controller);
        let list = |items: &[&str]| -> Slice<String> { items.iter().map(|i| i.to_string()).collect() };
        let commit = || Commit {
            id: "N/A".into(),
            expected: String::new(),
        };
        let ours = |name: &str| {
            let shown = Runtime {
                path: "runc".into(),
                ..Runtime::default()
            };
            (name.to_owned(), shown)
        };
        let others = live.runtimes.iter().map(|(name, runtime)| {
            let args = runtime.args.clone();
            let shown = Runtime {
                path: runtime.path.clone(),
                runtime_args: args.into(),
                ..Runtime::default()
            };
            (name.clone(), shown)
        });
        let mut security: Vec<String> = Vec::new();
        if host.apparmor {
            security.push("name=apparmor".into());
        }
        if host.seccomp {
            let profile = match &config.defaults.seccomp {
                SeccompDefault::Builtin => "builtin",
                SeccompDefault::Unconfined => "unconfined",
                SeccompDefault::Profile { path, .. } => path,
            };
            security.push(format!("name=seccomp,profile={profile}"));
        }
        if host.cgroup_v2 {
            security.push("name=cgroupns".into());
        }
        if kit.subids.remaps() {
            security.push("name=userns".into());
        }
        if config.defaults.no_new_privileges {
            security.push("name=no-new-privileges".into());
        }
        Info {
            id: self.engine_id.clone(),
            containers: phases.len() as i64,
            containers_running: count(|p| matches!(p, Phase::Running | Phase::Restarting)),
            containers_paused: count(|p| p == Phase::Paused),
            containers_stopped: count(|p| {
                matches!(p, Phase::Created | Phase::Exited | Phase::Dead | Phase::Removing)
            }),
            images: kit.images.list().len() as i64,
            driver: STORAGE_DRIVER.into(),
            driver_status: [
                ["Backing Filesystem", filesystem(&config.data_root)],
                ["Supports d_type", "true"],
                ["Using metacopy", "false"],
                ["Native Overlay Diff", "true"],
                ["userxattr", "false"],
            ]
            .map(|pair| pair.map(String::from))
            .into_iter()
            .chain(kept(&live.images.policy))
            .collect(),
            plugins: PluginsInfo {
                volume: list(&["local"]),
                network: list(&["bridge", "host", "ipvlan", "macvlan", "null", "overlay"]),
                authorization: if live.authorization_plugins.is_empty() {
                    Slice::nil()
                } else {
                    live.authorization_plugins.clone().into()
                },
                log: list(&["fluentd", "gelf", "journald", "json-file", "local", "syslog"]),
            },
            memory_limit: has(Controller::Memory),
            swap_limit: kit.hierarchy.has_swap_limit(),
            cpu_cfs_period: has(Controller::Cpu),
            cpu_cfs_quota: has(Controller::Cpu),
            cpu_shares: has(Controller::Cpu),
            cpu_set: has(Controller::Cpuset),
            pids_limit: has(Controller::Pids),
            ipv4_forwarding: shoal_node_drivers_network::forwarding::is_enabled().unwrap_or(false),
            debug: live.debug,
            n_fd: std::fs::read_dir("/proc/self/fd").map_or(-1, |d| d.count() as i64),
            oom_kill_disable: !host.cgroup_v2,
            n_goroutines: tokio::runtime::Handle::try_current()
                .map_or(0, |h| h.metrics().num_alive_tasks() as i64),
            system_time: clock::timestamp(clock::now()).to_string(),
            logging_driver: config.defaults.log_driver.clone(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: if host.cgroup_v2 { "2" } else { "1" }.into(),
            n_events_listener: kit.events.listeners() as i64,
            kernel_version: host.kernel_release.clone(),
            operating_system: host.operating_system.clone(),
            os_version: host.os_version.clone(),
            os_type: "linux".into(),
            architecture: host.architecture.clone(),
            index_server_address: HUB.into(),
            registry_config: Some(registries(&live)),
            n_cpu: i64::from(host.cpus),
            mem_total: i64::try_from(host.memory).unwrap_or(i64::MAX),
            generic_resources: Slice::nil(),
            docker_root_dir: config.data_root.to_string_lossy().into_owned(),
            http_proxy: config.proxies.http.clone(),
            https_proxy: config.proxies.https.clone(),
            no_proxy: config.proxies.no.clone(),
            name: crate::host::Host::name_now(),
            labels: live.labels.clone().into(),
            experimental_build: false,
            server_version: SERVER_VERSION.into(),
            runtimes: others
                .chain(OWN_RUNTIMES[..2].iter().map(|name| ours(name)))
                .collect(),
            default_runtime: live.default_runtime.clone(),
            default_address_pools: config
                .bridge
                .pools
                .iter()
                .map(|(base, size)| AddressPool {
                    base: base.to_string(),
                    size: i64::from(*size),
                })
                .collect(),
            live_restore_enabled: live.live_restore,
            init_binary: "docker-init".into(),
            containerd_commit: commit(),
            runc_commit: commit(),
            init_commit: commit(),
            security_options: security.into(),
            firewall_backend: Some(FirewallInfo {
                driver: "nftables".into(),
                info: Slice::nil(),
            }),
            cdi_spec_dirs: config.cdi_dirs.iter().map(|d| d.display().to_string()).collect(),
            warnings: self.warnings(),
            ..Info::default()
        }
    }

    fn warnings(&self) -> Slice<String> {
        let (kit, mut out) = (&self.kit, Vec::new());
        if !kit.hierarchy.has(Controller::Memory) {
            out.push("WARNING: No memory limit support".to_string());
        }
        if !kit.hierarchy.has_swap_limit() {
            out.push("WARNING: No swap limit support".into());
        }
        if !shoal_node_drivers_network::forwarding::is_enabled().unwrap_or(false) {
            out.push("WARNING: IPv4 forwarding is disabled".into());
        }
        if let Some(chain) = kit.networks.foreign_drop() {
            out.push(format!("WARNING: chain {chain} of the host's firewall drops forwarded traffic: containers may reach nothing outside this host"));
        }
        if out.is_empty() { Slice::nil() } else { out.into() }
    }
}

fn registries(live: &Live) -> RegistryServiceConfig {
    let mut indexes: BTreeMap<String, IndexInfo> = BTreeMap::new();
    let mirrors: Slice<String> = match live.registry_mirrors.is_empty() {
        true => Slice::nil(),
        false => live.registry_mirrors.clone().into(),
    };
    indexes.insert(
        "docker.io".into(),
        IndexInfo {
            name: "docker.io".into(),
            mirrors: live.registry_mirrors.clone().into(),
            secure: true,
            official: true,
        },
    );
    let (cidrs, names): (Vec<&String>, Vec<&String>) = live
        .insecure_registries
        .iter()
        .partition(|r| r.parse::<ipnet::IpNet>().is_ok());
    for name in names {
        let index = IndexInfo {
            name: name.clone(),
            mirrors: Vec::new().into(),
            secure: false,
            official: false,
        };
        indexes.insert(name.clone(), index);
    }
    let mut insecure: Vec<String> = cidrs.into_iter().cloned().collect();
    insecure.push("::1/128".into());
    insecure.push("127.0.0.0/8".into());
    RegistryServiceConfig {
        insecure_registry_cidrs: insecure.into(),
        index_configs: indexes.into(),
        mirrors,
        ..RegistryServiceConfig::default()
    }
}

fn filesystem(path: &std::path::Path) -> &'static str {
    match rustix::fs::statfs(path).map(|s| s.f_type as u64) {
        Ok(0xEF53) => "extfs",
        Ok(0x5846_5342) => "xfs",
        Ok(0x9123_683E) => "btrfs",
        Ok(0x0102_1994) => "tmpfs",
        Ok(0x794C_7630) => "overlayfs",
        _ => "<unknown>",
    }
}

/// Which images leave the disk by themselves: nothing unless some do.
fn kept(policy: &Policy) -> Vec<[String; 2]> {
    let high =
        (policy.high > 0).then(|| format!("above {}% of the disk, down to {}%", policy.high, policy.low));
    let releases = (policy.keep_releases > 0).then(|| policy.keep_releases.to_string());
    let rows = [
        ("Unused Images Removed", high),
        ("Releases Kept for Each Service", releases),
    ];
    let set = rows
        .into_iter()
        .filter_map(|(key, value)| Some([key.to_owned(), value?]));
    set.collect()
}
