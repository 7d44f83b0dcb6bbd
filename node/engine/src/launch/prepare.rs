//! Everything about a start that is known before its process is made.

use super::joins::{self, Network};
use super::{devices, files, identity, links, mounts};
use crate::containers::{EXIT, Kit, Record, Run};
use crate::error::{Result, invalid, io, system};
use crate::layers::Layers;
use oci_spec::runtime::Process as OciProcess;
use shoal_node_core_host::ocispec::{self, Input, Ns, Process, Rights, Shm};
use shoal_node_core_host::{devices as device_words, env};
use shoal_node_drivers_runtime::skeleton;
use shoal_node_drivers_shim::{CgroupName, Launch, Netns, Rootfs};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

pub struct Prepared {
    pub launch: Launch,
    /// Of another container; goes to the shim.
    pub netns: Option<OwnedFd>,
    /// Directories that the specification names by descriptor: open until the process is made.
    pub held: Vec<OwnedFd>,
}

/// Blocks: reads the image's files, writes the container's.
pub fn prepare(
    kit: &Kit,
    record: &Record,
    dir: &Path,
    run_dir: &Path,
    network: Network,
    noted: &Run,
    places: &BTreeMap<String, PathBuf>,
) -> Result<Prepared> {
    let plan = crate::logging::plan(record, dir)?;
    crate::logging::prepare(&plan.target, dir)?;
    let rootfs = kit.rootfs(&record.id)?;
    noted
        .save(dir)
        .map_err(io("write the state of container", &record.id))?;
    let source = identity::Source::Layers(open_layers(&rootfs)?);
    let rights = identity::rights(kit, record, &source, &record.config.user, false)?;
    let mapped = kit.ids_of(record)?.is_some();
    let runtime = kit.runtime(&record.host.runtime)?;
    let (seccomp, filter) = match runtime {
        None => (kit.seccomp.program(record, &rights.caps)?, None),
        Some(_) => (None, kit.seccomp.filter(record, &rights.caps)?),
    };
    let mut held = Vec::new();
    let input = input(kit, record, dir, &network, noted, rights, places, &mut held)?;
    // Our own runtime puts the init in front itself; another finds it in the specification.
    let (init, input) = match runtime {
        None => (input.init.clone(), Input { init: None, ..input }),
        Some(_) => (None, input),
    };
    let mut spec = ocispec::build(&input).map_err(|e| invalid(e.to_string()))?;
    if let Some(linux) = spec.linux_mut() {
        linux.set_seccomp(filter);
    }
    let (netns, fd) = match &network {
        Network::Host => (Netns::Host, None),
        // One that the user namespace owns: made with it, and plugged by the process's number.
        Network::None | Network::Bridged if mapped => (Netns::New, None),
        Network::None | Network::Bridged => (Netns::Given, None),
        Network::Of { pid, .. } => (Netns::Given, Some(open_netns(*pid)?)),
    };
    let launch = Launch {
        id: record.id.clone(),
        spec,
        rootfs: with_mount_points(kit, rootfs)?,
        netns,
        cgroup: CgroupName {
            parent: kit.cgroup_parent(record),
            name: record.id.clone(),
        },
        log: plan.target,
        tty: record.config.tty,
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        init,
        run_dir: run_dir.into(),
        exit_file: dir.join(EXIT),
        seccomp,
        gate: true,
        runtime,
    };
    Ok(Prepared {
        launch,
        netns: fd,
        held,
    })
}

/// What the image lacks of the places that something is mounted on comes from a layer below it, shared by all containers,
/// so that a container's own layer holds only what the container wrote.
pub fn with_mount_points(kit: &Kit, mut rootfs: Rootfs) -> Result<Rootfs> {
    if let Rootfs::Overlay { lower, .. } = &mut rootfs {
        let layer = kit.home_tmp.with_file_name("skeleton");
        skeleton::ensure(&layer).map_err(|e| system(format!("make {}: {e}", layer.display())))?;
        lower.push(layer);
    }
    Ok(rootfs)
}

fn input(
    kit: &Kit,
    record: &Record,
    dir: &Path,
    network: &Network,
    noted: &Run,
    rights: Rights,
    places: &BTreeMap<String, PathBuf>,
    held: &mut Vec<OwnedFd>,
) -> Result<Input> {
    let (config, host) = (&record.config, &record.host);
    let namespaces = joins::namespaces(kit, record, network)?;
    let shm = match &namespaces.ipc {
        _ if host.ipc_mode == "none" => Shm::None,
        Ns::Host => Shm::Bind(PathBuf::from("/dev/shm")),
        Ns::Of(_) => {
            let reference = host.ipc_mode.trim_start_matches("container:");
            Shm::Bind(joins::shm_of(joins::running(kit, record, reference, joins::IPC)?))
        }
        Ns::Own => Shm::Own { bytes: host.shm_size },
    };
    let mut devices = if host.privileged {
        devices::all()?
    } else {
        Vec::new()
    };
    for mapping in host.resources.devices.iter() {
        devices.extend(devices::asked(mapping)?);
    }
    let rules = host
        .resources
        .device_cgroup_rules
        .iter()
        .map(|r| device_words::parse_rule(r));
    let device_rules = rules.collect::<Result<Vec<_>, String>>().map_err(invalid)?;
    let mut args = vec![record.path.clone()];
    args.extend(record.args.iter().cloned());
    let home = rights.user.home.clone();
    let granted = super::requests::grant(&host.resources.device_requests, &kit.cdi_dirs)?;
    let mut rights = rights;
    rights.user.groups.extend(granted.groups);
    devices.extend(granted.devices);
    let mut mounts = mounts::mounts(kit, record, places, held)?;
    mounts.extend(granted.mounts);
    let linked = links::env(kit, record)?;
    let env = env::process(&config.env, linked, &config.hostname, config.tty, &home);
    Ok(Input {
        process: Process {
            args,
            env: env::merge(&env, &granted.env),
            cwd: config.working_dir.clone(),
            tty: config.tty,
            rights,
        },
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        privileged: host.privileged,
        readonly_rootfs: host.readonly_rootfs,
        mounts,
        files: files::write(kit, record, dir, network, &noted.endpoints)?,
        shm,
        init: host
            .init
            .unwrap_or(kit.defaults.init)
            .then(|| kit.init_bin.clone()),
        resources: ocispec::resources::resources(&crate::containers::with_devices(&host.resources)?),
        device_rules,
        devices,
        sysctls: host.sysctls.clone().into_map(),
        masked_paths: host.masked_paths.0.clone(),
        readonly_paths: host.readonly_paths.0.clone(),
        thermal_cpus: kit.host.thermal_cpus.clone(),
        cgroup_v2: kit.host.cgroup_v2,
        annotations: host.annotations.clone().into_map(),
        ids: kit.ids_of(record)?,
        namespaces,
    })
}

/// The process of an exec in a running container.
pub fn exec_process(kit: &Kit, record: &Record, pid: i32, exec: &ExecWish<'_>) -> Result<OciProcess> {
    let source = identity::Source::of_process(pid)?;
    let user = if exec.user.is_empty() {
        &record.config.user
    } else {
        exec.user
    };
    let rights = identity::rights(kit, record, &source, user, exec.privileged)?;
    let configured: Vec<String> = record.config.env.iter().chain(exec.env).cloned().collect();
    let env = env::process(
        &configured,
        // What does not run any more is told of no more.
        links::env(kit, record).unwrap_or_default(),
        &record.config.hostname,
        exec.tty,
        &rights.user.home,
    );
    let cwd = if exec.working_dir.is_empty() {
        &record.config.working_dir
    } else {
        exec.working_dir
    };
    let process = Process {
        args: exec.args.to_vec(),
        env,
        cwd: cwd.into(),
        tty: exec.tty,
        rights,
    };
    ocispec::process(&process).map_err(|e| invalid(e.to_string()))
}

/// Whether the user of an exec is one: the files of the running container say.
pub fn exec_user(kit: &Kit, record: &Record, pid: i32, user: &str) -> Result<()> {
    let source = identity::Source::of_process(pid)?;
    identity::rights(kit, record, &source, user, false).map(drop)
}

/// What an exec asks for.
pub struct ExecWish<'a> {
    pub user: &'a str,
    pub privileged: bool,
    pub tty: bool,
    pub env: &'a [String],
    pub working_dir: &'a str,
    pub args: &'a [String],
}

fn open_layers(rootfs: &Rootfs) -> Result<Layers> {
    let layers = match rootfs {
        Rootfs::Overlay { lower, upper, .. } => {
            Layers::open(std::iter::once(upper.as_path()).chain(lower.iter().map(PathBuf::as_path)))
        }
        Rootfs::Directory(dir) => Layers::open([dir.as_path()]),
    };
    layers.map_err(|e| system(format!("open the layers of the root filesystem: {e}")))
}

fn open_netns(pid: i32) -> Result<OwnedFd> {
    let file = std::fs::File::open(format!("/proc/{pid}/ns/net"));
    Ok(file
        .map_err(io("open the network namespace of process", pid))?
        .into())
}
