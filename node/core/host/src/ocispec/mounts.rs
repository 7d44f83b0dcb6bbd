//! What every container has mounted, and what was asked for, in the order in which it is to be mounted.

use super::{Error, Input, Mount, ReadOnly, Shm};
use crate::subids::Extent;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount as OciMount, MountBuilder};

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Result<OciMount, Error> {
    let options: Vec<String> = options.iter().map(|o| o.to_string()).collect();
    Ok(MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options)
        .build()?)
}

pub(super) fn all(input: &Input) -> Result<Vec<OciMount>, Error> {
    let taken = |destination: &str| input.mounts.iter().any(|m| m.destination() == destination);
    let writable = |option: &'static str| if input.privileged { "rw" } else { option };
    let shm_options;
    let mut out = Vec::with_capacity(16);
    let mut add = |destination: &str, kind: &str, source: &str, options: &[&str]| -> Result<(), Error> {
        if !taken(destination) {
            out.push(mount(destination, kind, source, options)?);
        }
        Ok(())
    };
    add("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"])?;
    add(
        "/dev",
        "tmpfs",
        "tmpfs",
        &["nosuid", "strictatime", "mode=755", "size=65536k"],
    )?;
    add(
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ],
    )?;
    add(
        "/sys",
        "sysfs",
        "sysfs",
        &["nosuid", "noexec", "nodev", writable("ro")],
    )?;
    add(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &[writable("ro"), "nosuid", "noexec", "nodev"],
    )?;
    // Of whichever IPC namespace the container is in, the host's too; from a user namespace that one cannot be mounted.
    let mqueue = ["nosuid", "noexec", "nodev"];
    match (&input.namespaces.ipc, &input.ids) {
        (super::Ns::Host, Some(_)) => {
            let bind = ["rbind", "rprivate", mqueue[0], mqueue[1], mqueue[2]];
            add("/dev/mqueue", "bind", "/dev/mqueue", &bind)?;
        }
        _ => add("/dev/mqueue", "mqueue", "mqueue", &mqueue)?,
    }
    match &input.shm {
        Shm::Own { bytes } => {
            shm_options = format!("size={}", if *bytes > 0 { *bytes } else { super::SHM_BYTES });
            add(
                "/dev/shm",
                "tmpfs",
                "shm",
                &["nosuid", "noexec", "nodev", "mode=1777", &shm_options],
            )?;
        }
        Shm::Bind(path) => {
            let source = path.to_string_lossy();
            add(
                "/dev/shm",
                "bind",
                &source,
                &["rbind", "rprivate", "nosuid", "noexec", "nodev"],
            )?;
        }
        Shm::None => {}
    }
    if input.init.is_some() {
        let init = input
            .init
            .as_ref()
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default();
        add(super::build::INIT, "bind", &init, &["bind", "ro"])?;
    }
    for (source, destination) in &input.files {
        if !taken(destination) {
            let source = source.to_string_lossy();
            let file = mount(destination, "bind", &source, &["rbind", "rprivate"])?;
            out.push(mapped(file, input)?);
        }
    }
    let mut wanted: Vec<&Mount> = input.mounts.iter().collect();
    wanted.sort_by_key(|m| m.destination().split('/').filter(|p| !p.is_empty()).count());
    for m in wanted {
        let asked = asked(m)?;
        let ours = matches!(m, Mount::Bind { mapped: true, .. } | Mount::Image { .. });
        out.push(if ours { mapped(asked, input)? } else { asked });
    }
    Ok(out)
}

/// Shown by the ids of the container's user namespace, if it has one.
fn mapped(mut mount: OciMount, input: &Input) -> Result<OciMount, Error> {
    if let Some(ids) = &input.ids {
        mount.set_uid_mappings(Some(mappings(&ids.uids)?));
        mount.set_gid_mappings(Some(mappings(&ids.gids)?));
    }
    Ok(mount)
}

pub(super) fn mappings(extents: &[Extent]) -> Result<Vec<LinuxIdMapping>, Error> {
    let one = |e: &Extent| {
        let builder = LinuxIdMappingBuilder::default().container_id(e.inside);
        Ok(builder.host_id(e.outside).size(e.size).build()?)
    };
    extents.iter().map(one).collect()
}

fn asked(m: &Mount) -> Result<OciMount, Error> {
    match m {
        Mount::Bind {
            source,
            destination,
            read_only,
            recursive,
            propagation,
            mapped: _,
        } => {
            let mut options = vec![if *recursive { "rbind" } else { "bind" }];
            match read_only {
                ReadOnly::No => {}
                ReadOnly::Top => options.push("ro"),
                ReadOnly::Recursive => options.push("rro"),
            }
            options.push(if propagation.is_empty() {
                "rprivate"
            } else {
                propagation
            });
            mount(destination, "bind", &source.to_string_lossy(), &options)
        }
        Mount::Image {
            lower,
            upper,
            work,
            subpath,
            destination,
            read_only,
        } => {
            let mut options: Vec<String> = Vec::with_capacity(lower.len() + 4);
            if *read_only {
                options.push("ro".into());
            }
            options.extend(lower.iter().map(|l| format!("lowerdir+={}", l.display())));
            options.push(format!("upperdir={}", upper.display()));
            options.push(format!("workdir={}", work.display()));
            if !subpath.is_empty() {
                options.push(format!("subpath={subpath}"));
            }
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            mount(destination, "overlay", "overlay", &options)
        }
        Mount::Given {
            source,
            kind,
            destination,
            options,
        } => {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            mount(destination, kind, &source.to_string_lossy(), &options)
        }
        Mount::Tmpfs { destination, options } => {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            mount(destination, "tmpfs", "tmpfs", &options)
        }
    }
}
