//! Devices of the host that a container was given: by `--device`, or all of them with `--privileged`.

use crate::error::{Result, invalid, plain, system};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};
use shoal_api_types::container::DeviceMapping;
use shoal_node_core_host::devices::access_is_valid;
use shoal_node_core_host::ocispec::Device;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A tree of devices is not followed further than this.
const DEPTH_MAX: u32 = 8;
const DEVICES_MAX: usize = 4096;
/// The container has its own of these.
const OWN: [&str; 8] = [
    "pts",
    "shm",
    "fd",
    "mqueue",
    "console",
    ".lxc",
    ".lxd-mounts",
    ".udev",
];

pub fn asked(mapping: &DeviceMapping) -> Result<Vec<Device>> {
    let fail = |e: String| {
        invalid(format!(
            "error gathering device information while adding custom device {:?}: {e}",
            mapping.path_on_host
        ))
    };
    let access = if mapping.cgroup_permissions.is_empty() {
        "rwm"
    } else {
        &mapping.cgroup_permissions
    };
    if !access_is_valid(access) {
        return Err(invalid(format!("invalid device mode: {access}")));
    }
    let inside = if mapping.path_in_container.is_empty() {
        &mapping.path_on_host
    } else {
        &mapping.path_in_container
    };
    // The host's own links, such as /dev/cdrom, are followed: the user named them.
    let path = std::fs::canonicalize(&mapping.path_on_host).map_err(|e| fail(plain(&e)))?;
    let metadata = std::fs::metadata(&path).map_err(|e| fail(plain(&e)))?;
    if let Some(node) = node(&metadata, inside) {
        return Ok(vec![Device {
            node,
            access: access.into(),
        }]);
    }
    let mut out = Vec::new();
    if metadata.is_dir() {
        walk(&path, Path::new(inside), 0, &mut out, access);
    }
    if out.is_empty() {
        Err(fail("not a device node".into()))
    } else {
        Ok(out)
    }
}

/// Every device of the host.
pub fn all() -> Result<Vec<Device>> {
    let mut out = Vec::new();
    walk(Path::new("/dev"), Path::new("/dev"), 0, &mut out, "rwm");
    if out.is_empty() {
        Err(system("the host has no devices in /dev"))
    } else {
        Ok(out)
    }
}

fn walk(from: &Path, inside: &Path, depth: u32, out: &mut Vec<Device>, access: &str) {
    let Ok(entries) = std::fs::read_dir(from) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if (depth == 0 && OWN.iter().any(|o| name == *o)) || out.len() >= DEVICES_MAX {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let target = inside.join(&name);
        if metadata.is_dir() && depth < DEPTH_MAX {
            walk(&entry.path(), &target, depth + 1, out, access);
        } else if let Some(node) = node(&metadata, &target.to_string_lossy()) {
            out.push(Device {
                node,
                access: access.into(),
            });
        }
    }
}

fn node(metadata: &std::fs::Metadata, inside: &str) -> Option<LinuxDevice> {
    let kind = match metadata.file_type() {
        t if t.is_char_device() => LinuxDeviceType::C,
        t if t.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let device = metadata.rdev();
    LinuxDeviceBuilder::default()
        .path(inside)
        .typ(kind)
        .major(i64::from(rustix::fs::major(device)))
        .minor(i64::from(rustix::fs::minor(device)))
        .file_mode(metadata.mode() & 0o7777)
        .uid(metadata.uid())
        .gid(metadata.gid())
        .build()
        .ok()
}
