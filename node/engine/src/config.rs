//! How an engine is set up. The daemon fills it from its flags and its configuration file.

use crate::networks::Cluster;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use parking_lot::RwLock;
use shoal_node_core_host::imagekeep::Policy;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    /// The `shoal-shim` program.
    pub shim_bin: PathBuf,
    /// For `--init`; the shim itself can serve as one.
    pub init_bin: Option<PathBuf>,
    pub bridge: Bridge,
    /// Below which control groups are made; empty is `/shoal-<sid>` (under the delegated root on version 2).
    pub cgroup_parent: String,
    pub live: Live,
    pub defaults: Defaults,
    /// Whose subordinate ids containers get: `default`, a user, a user and a group; empty for the host's own ids.
    pub userns_remap: String,
    pub proxies: Proxies,
    /// Folders in which each registry may have one: authorities' certificates, and ours (`certs.d`).
    pub registry_certificates: Vec<PathBuf>,
    /// Where devices are described (CDI); what lies in the later one wins.
    pub cdi_dirs: Vec<PathBuf>,
    /// Where networks of the cluster are asked for.
    pub cluster: Option<Cluster>,
}

/// What may change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Live {
    pub debug: bool,
    pub labels: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub registry_mirrors: Vec<String>,
    /// Layers downloaded at a time; the number that the daemon began with counts.
    pub downloads_max: usize,
    pub uploads_max: usize,
    pub download_attempts_max: u32,
    pub live_restore: bool,
    /// Seconds that a stopping daemon waits for containers; -1 waits for ever.
    pub shutdown_timeout: i64,
    pub authorization_plugins: Vec<String>,
    /// Names and programs of OCI runtimes beside our own, which is `runc`.
    pub runtimes: BTreeMap<String, Runtime>,
    pub default_runtime: String,
    /// Of /dev/shm where a container asks for no size.
    pub shm_bytes: i64,
    /// `private` or `shareable`.
    pub ipc_mode: String,
    /// `private` or `host`; empty is as the version of control groups has it.
    pub cgroupns_mode: String,
    pub images: ImageKeep,
}

/// Which images leave the disk without being asked to, and how often that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageKeep {
    pub policy: Policy,
    pub every: Duration,
}

impl Default for ImageKeep {
    fn default() -> Self {
        ImageKeep {
            policy: Policy::default(),
            every: Duration::from_secs(60),
        }
    }
}

/// An OCI runtime that containers may ask for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Empty with a kind that is our own.
    pub path: String,
    pub args: Vec<String>,
    /// How containerd would call it; empty for a program.
    pub kind: String,
}

/// The names under which our own runtime goes: what Docker's clients call its default one, and our own.
pub const OWN_RUNTIMES: [&str; 3] = ["runc", "io.containerd.runc.v2", "shoal"];

/// The settings that may change, seen by everybody at once.
#[derive(Clone)]
pub struct Settings(Arc<RwLock<Arc<Live>>>);

impl Settings {
    pub fn new(live: Live) -> Self {
        Settings(Arc::new(RwLock::new(Arc::new(live))))
    }

    pub fn get(&self) -> Arc<Live> {
        self.0.read().clone()
    }

    pub fn set(&self, live: Live) {
        *self.0.write() = Arc::new(live);
    }
}

impl Default for Live {
    fn default() -> Self {
        Live {
            debug: false,
            labels: Vec::new(),
            insecure_registries: Vec::new(),
            registry_mirrors: Vec::new(),
            downloads_max: 3,
            uploads_max: 5,
            download_attempts_max: 5,
            live_restore: true,
            shutdown_timeout: 15,
            authorization_plugins: Vec::new(),
            runtimes: BTreeMap::new(),
            default_runtime: "runc".into(),
            shm_bytes: 64 << 20,
            ipc_mode: "private".into(),
            cgroupns_mode: String::new(),
            images: ImageKeep::default(),
        }
    }
}

/// The default bridge network.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// `docker0`; `none` makes no default bridge.
    pub name: String,
    /// The bridge's own address; none picks a free subnet of Docker's pools.
    pub address: Option<Ipv4Net>,
    /// Addresses of containers come from here.
    pub fixed_cidr: Option<Ipv4Net>,
    /// IPv6, too: with this address, else on this subnet, else on a free one of the pools.
    pub ipv6: bool,
    pub address_v6: Option<Ipv6Net>,
    pub fixed_cidr_v6: Option<Ipv6Net>,
    /// Where ports are published when nobody says where; none is every address.
    pub host_binding: Option<IpAddr>,
    pub mtu: u32,
    pub icc: bool,
    pub masquerade: bool,
    /// Whether the host may be told to forward.
    pub forward: bool,
    /// Whether the daemon itself passes on what comes to a published port by a way on which no packet rule leads on.
    pub pass_on: bool,
    /// Where subnets come from when nobody names one: (base, prefix length of each). Empty is Docker's.
    pub pools: Vec<(IpNet, u8)>,
}

/// What containers get when they do not ask.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub log_driver: String,
    pub log_opts: Vec<(String, String)>,
    pub init: bool,
    pub no_new_privileges: bool,
    pub seccomp: SeccompDefault,
    /// (name, soft, hard)
    pub ulimits: Vec<(String, i64, i64)>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
}

/// The filter of containers that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeccompDefault {
    Builtin,
    Unconfined,
    /// A profile by the path that it came from, and its text.
    Profile {
        path: String,
        text: String,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    pub no: String,
}

impl Default for Bridge {
    fn default() -> Self {
        Bridge {
            name: "docker0".into(),
            address: None,
            fixed_cidr: None,
            ipv6: false,
            address_v6: None,
            fixed_cidr_v6: None,
            host_binding: None,
            mtu: 1500,
            icc: true,
            masquerade: true,
            forward: true,
            pass_on: true,
            pools: Vec::new(),
        }
    }
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            log_driver: "json-file".into(),
            log_opts: Vec::new(),
            init: false,
            no_new_privileges: false,
            seccomp: SeccompDefault::Builtin,
            ulimits: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
        }
    }
}

impl Config {
    /// Docker's defaults with these directories.
    pub fn new(
        data_root: impl Into<PathBuf>,
        exec_root: impl Into<PathBuf>,
        shim_bin: impl Into<PathBuf>,
    ) -> Self {
        Config {
            data_root: data_root.into(),
            exec_root: exec_root.into(),
            shim_bin: shim_bin.into(),
            init_bin: None,
            bridge: Bridge::default(),
            cgroup_parent: String::new(),
            live: Live::default(),
            defaults: Defaults::default(),
            userns_remap: String::new(),
            proxies: Proxies::default(),
            registry_certificates: ["/etc/docker/certs.d", "/etc/shoal/certs.d"]
                .map(PathBuf::from)
                .to_vec(),
            cluster: None,
            cdi_dirs: ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from).to_vec(),
        }
    }
}
