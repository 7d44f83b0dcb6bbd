//! The whole specification.

use super::{Error, Input, Namespaces, Ns, mounts, process};
use crate::devices;
use oci_spec::runtime::{
    LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResources,
};
use oci_spec::runtime::{RootBuilder, Spec, SpecBuilder};
use std::collections::HashMap;

/// Where `--init`'s program is mounted, as with Docker.
pub const INIT: &str = "/sbin/docker-init";

const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What is hidden from a container that says nothing else.
pub fn masked_paths() -> Vec<String> {
    MASKED.iter().map(|p| p.to_string()).collect()
}

/// What it may only read.
pub fn readonly_paths() -> Vec<String> {
    READONLY.iter().map(|p| p.to_string()).collect()
}

/// Docker's specification for this container. The seccomp filter is not part of it: it is compiled and cached apart.
pub fn build(input: &Input) -> Result<Spec, Error> {
    let mut first = input.process.clone();
    if input.init.is_some() {
        first.args.splice(0..0, [INIT.to_string(), "--".to_string()]);
    }
    let mut all = namespaces(&input.namespaces)?;
    if input.ids.is_some() {
        let mut user = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::User);
        if let Ns::Of(path) = &input.namespaces.user {
            user = user.path(path.clone());
        }
        all.push(user.build()?);
    }
    let mut linux = LinuxBuilder::default()
        .namespaces(all)
        .resources(resources(input))
        .devices(input.devices.iter().map(|d| d.node.clone()).collect::<Vec<_>>())
        .sysctl(sysctls(input))
        .rootfs_propagation("private".to_string());
    let (masked, readonly) = guarded(input);
    linux = linux.masked_paths(masked).readonly_paths(readonly);
    if let Some(ids) = &input.ids {
        linux = linux
            .uid_mappings(mounts::mappings(&ids.uids)?)
            .gid_mappings(mounts::mappings(&ids.gids)?);
    }
    let mut spec = SpecBuilder::default()
        .version("1.0.2")
        .root(
            RootBuilder::default()
                .path("/")
                .readonly(input.readonly_rootfs)
                .build()?,
        )
        .process(process(&first)?)
        .mounts(mounts::all(input)?)
        .linux(linux.build()?);
    if input.namespaces.uts == Ns::Own {
        spec = spec.hostname(input.hostname.clone());
        if !input.domainname.is_empty() {
            spec = spec.domainname(input.domainname.clone());
        }
    }
    if !input.annotations.is_empty() {
        let annotations: HashMap<_, _> = input.annotations.clone().into_iter().collect();
        spec = spec.annotations(annotations);
    }
    let mut spec = spec.build()?;
    if input.namespaces.uts != Ns::Own {
        // The builder's own default would be a name for the host.
        spec.set_hostname(None);
    }
    Ok(spec)
}

fn namespaces(wanted: &Namespaces) -> Result<Vec<LinuxNamespace>, Error> {
    let mut out = vec![
        LinuxNamespaceBuilder::default()
            .typ(LinuxNamespaceType::Mount)
            .build()?,
    ];
    for (kind, ns) in [
        (LinuxNamespaceType::Network, &wanted.network),
        (LinuxNamespaceType::Uts, &wanted.uts),
        (LinuxNamespaceType::Pid, &wanted.pid),
        (LinuxNamespaceType::Ipc, &wanted.ipc),
        (LinuxNamespaceType::Cgroup, &wanted.cgroup),
    ] {
        let builder = LinuxNamespaceBuilder::default().typ(kind);
        match ns {
            Ns::Own => out.push(builder.build()?),
            Ns::Of(path) => out.push(builder.path(path.clone()).build()?),
            Ns::Host => {}
        }
    }
    Ok(out)
}

fn resources(input: &Input) -> LinuxResources {
    let mut resources = input.resources.clone();
    let rules = if input.privileged {
        vec![devices::rule(
            true,
            oci_spec::runtime::LinuxDeviceType::A,
            None,
            None,
            "rwm",
        )]
    } else {
        let mut rules = devices::default_rules();
        for device in &input.devices {
            let node = &device.node;
            rules.push(devices::rule(
                true,
                node.typ(),
                Some(node.major()),
                Some(node.minor()),
                &device.access,
            ));
        }
        rules.extend(input.device_rules.iter().cloned());
        rules
    };
    resources.set_devices(Some(rules));
    resources
}

/// Docker's two defaults that let an unprivileged process ping and listen on low ports, where the network is its own.
fn sysctls(input: &Input) -> HashMap<String, String> {
    let mut out: HashMap<String, String> = input.sysctls.clone().into_iter().collect();
    if input.namespaces.network == Ns::Own {
        let mut set = |key: &str, value: &str| {
            out.entry(key.into()).or_insert_with(|| value.into());
        };
        set("net.ipv4.ip_unprivileged_port_start", "0");
        // The last group of that range is nobody's in a user namespace.
        if input.ids.is_none() {
            set("net.ipv4.ping_group_range", "0 2147483647");
        }
    }
    out
}

fn guarded(input: &Input) -> (Vec<String>, Vec<String>) {
    if input.privileged {
        return (
            input.masked_paths.clone().unwrap_or_default(),
            input.readonly_paths.clone().unwrap_or_default(),
        );
    }
    let masked = input.masked_paths.clone().unwrap_or_else(|| {
        let thermal = input
            .thermal_cpus
            .iter()
            .map(|n| format!("/sys/devices/system/cpu/cpu{n}/thermal_throttle"));
        MASKED.iter().map(|p| p.to_string()).chain(thermal).collect()
    });
    let readonly = input
        .readonly_paths
        .clone()
        .unwrap_or_else(|| READONLY.iter().map(|p| p.to_string()).collect());
    (masked, readonly)
}
