//! The bundle: our specification as a runtime reads it, and the root file system where it looks.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use shoal_node_drivers_runtime::bundle;
use shoal_node_drivers_shim::{Launch, Netns, StartError};

use super::because;

const CONFIG: &str = "config.json";

/// Write `config.json` into the run directory and make everything that it names.
pub fn furnish(launch: &Launch, netns: Option<&OwnedFd>) -> Result<(), StartError> {
    let mut spec = launch.spec.clone();
    describe(&mut spec, launch, netns);
    let rootfs = crate::begin::rootfs(launch);
    // SAFETY: the shim has one thread.
    unsafe { bundle::furnish(&launch.run_dir, &rootfs, &mut spec) }.map_err(because("furnish the bundle"))?;
    let text = serde_json::to_vec(&spec).map_err(because("describe the container"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(launch.run_dir.join(CONFIG))
        .map_err(because("describe the container"))?;
    file.write_all(&text).map_err(because("describe the container"))?;
    if launch
        .spec
        .linux()
        .as_ref()
        .is_some_and(|linux| linux.uid_mappings().is_some())
    {
        // The runtime goes to the root as the container's own user: it must get through, and see nothing on the way.
        for dir in [Some(launch.run_dir.as_path()), launch.run_dir.parent()]
            .into_iter()
            .flatten()
        {
            std::fs::set_permissions(dir, Permissions::from_mode(0o711))
                .map_err(because("open the way to the root"))?;
        }
    }
    Ok(())
}

/// What the launch says apart from the specification, said in it.
fn describe(spec: &mut Spec, launch: &Launch, netns: Option<&OwnedFd>) {
    let Some(linux) = spec.linux_mut() else { return };
    let group = PathBuf::from("/")
        .join(launch.cgroup.parent.trim_start_matches('/'))
        .join(&launch.cgroup.name);
    linux.set_cgroups_path(Some(group));
    let Some(namespaces) = linux.namespaces_mut() else {
        return;
    };
    match (launch.netns, netns) {
        (Netns::Host, _) => namespaces.retain(|n| n.typ() != LinuxNamespaceType::Network),
        (Netns::Given, Some(fd)) => {
            let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()));
            for namespace in namespaces {
                if namespace.typ() == LinuxNamespaceType::Network {
                    namespace.set_path(Some(path.clone()));
                }
            }
        }
        _ => {}
    }
}
