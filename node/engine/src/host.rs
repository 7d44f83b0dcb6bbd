//! What this host is: read once when the engine starts.

use crate::error::{Result, system};
use shoal_node_drivers_cgroup::{Hierarchy, Version};
use shoal_node_drivers_runtime::apparmor;

#[derive(Clone, Debug)]
pub struct Host {
    /// As `uname -r`.
    pub kernel_release: String,
    pub kernel: (u32, u32),
    /// As `uname -m`.
    pub architecture: String,
    pub operating_system: String,
    pub os_version: String,
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// The highest capability that the kernel knows.
    pub last_cap: usize,
    pub thermal_cpus: Vec<u32>,
    pub cgroup_v2: bool,
    pub seccomp: bool,
    /// The kernel confines by AppArmor; and our default profile is loaded.
    pub apparmor: bool,
    pub apparmor_default: bool,
}

impl Host {
    pub fn read(hierarchy: &Hierarchy) -> Result<Host> {
        let uname = rustix::system::uname();
        let kernel_release = uname.release().to_string_lossy().into_owned();
        let (operating_system, os_version) = os_release();
        let last_cap = text("/proc/sys/kernel/cap_last_cap").trim().parse().unwrap_or(40);
        let cpus = shoal_node_drivers_cgroup::online_cpus().max(1);
        let apparmor = apparmor::is_enabled();
        Ok(Host {
            apparmor,
            apparmor_default: apparmor && loaded(),
            kernel: version(&kernel_release)
                .ok_or_else(|| system(format!("unknown kernel {kernel_release}")))?,
            kernel_release,
            architecture: uname.machine().to_string_lossy().into_owned(),
            operating_system,
            os_version,
            cpus,
            memory: memory(),
            last_cap,
            thermal_cpus: thermal(),
            cgroup_v2: hierarchy.version() == Version::V2,
            seccomp: text("/proc/self/status")
                .lines()
                .any(|l| l.starts_with("Seccomp:")),
        })
    }

    /// The name now: it may change while the daemon runs.
    pub fn name_now() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

fn loaded() -> bool {
    let loaded = apparmor::load();
    if let Err(error) = &loaded {
        tracing::warn!(%error, "the AppArmor profile {} could not be loaded: containers go without", apparmor::DEFAULT);
    }
    loaded.is_ok()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

fn memory() -> u64 {
    let info = text("/proc/meminfo");
    let kib = info.lines().find_map(|l| {
        l.strip_prefix("MemTotal:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

fn os_release() -> (String, String) {
    let release = match text("/etc/os-release") {
        found if !found.is_empty() => found,
        _ => text("/usr/lib/os-release"),
    };
    let value = |key: &str| {
        release
            .lines()
            .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
            .map(|v| v.trim_matches(['"', '\'']).to_string())
            .unwrap_or_default()
    };
    let name = match value("PRETTY_NAME") {
        name if name.is_empty() => "Linux".into(),
        name => name,
    };
    (name, value("VERSION_ID"))
}

fn thermal() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/sys/devices/system/cpu") else {
        return Vec::new();
    };
    let mut cpus: Vec<u32> = entries
        .flatten()
        .filter(|e| e.path().join("thermal_throttle").exists())
        .filter_map(|e| e.file_name().to_str()?.strip_prefix("cpu")?.parse().ok())
        .collect();
    cpus.sort_unstable();
    cpus
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn kernel_versions() {
        assert_eq!(version("6.1.0-26-amd64"), Some((6, 1)));
        assert_eq!(version("6.18.44-x"), Some((6, 18)));
        assert_eq!(version("x"), None);
    }
}
