//! `docker create`: from a request to a directory that survives anything.

use super::actor::{Seed, spawn};
use super::kit::Kit;
use super::record::{MountRecord, Record, Run};
use super::{Containers, attributes, fold, mounts, validate};
use crate::clock;
use crate::error::{Result, invalid, io};
use crate::files;
use crate::ids;
use shoal_api_backend::CreateContainer;
use shoal_api_types::container::{CreateRequest, CreateResponse};
use shoal_api_types::image::OciPlatform;
use shoal_node_core_host::{binds, names};
use std::path::Path;

impl Containers {
    pub async fn create(&self, wish: CreateContainer) -> Result<CreateResponse> {
        let kit = &self.kit;
        let CreateContainer {
            name,
            platform,
            request,
            of_task,
        } = wish;
        let id = ids::new();
        let name = match name.as_str() {
            "" => kit.registry.reserve_generated(&id)?,
            given => {
                let given = names::check(given).map_err(invalid)?;
                kit.registry.reserve(given, &id)?;
                given.to_string()
            }
        };
        let done = create(kit, &id, &name, platform, request, of_task).await;
        if done.is_err() {
            kit.registry.release(&name, &id);
        }
        done
    }
}

async fn create(
    kit: &std::sync::Arc<Kit>,
    id: &str,
    name: &str,
    platform: Option<OciPlatform>,
    request: CreateRequest,
    of_task: bool,
) -> Result<CreateResponse> {
    let CreateRequest {
        config,
        mut host_config,
        networking_config,
    } = request;
    let mut warnings = validate::check(kit, &config, &mut host_config)?;
    validate::complete(kit, &mut host_config)?;
    if config.image.is_empty() {
        return Err(invalid("config cannot be empty in order to create a container"));
    }
    let image = crate::images::find_for(&kit.images, &config.image, platform.as_ref())?;
    if platform.is_none() {
        warnings.extend(crate::images::foreign(&image));
    }
    if host_config.mounts.iter().any(|m| m.kind == "image") {
        warnings.push("Image mount is an experimental feature".into());
    }
    let own_hostname = config.hostname.clone();
    let mut config = fold::fold(config, crate::images::config_of(&image));
    let (path, args) = fold::command(&config)?;
    for mode in [&mut host_config.ipc_mode, &mut host_config.pid_mode] {
        if let Some(full) = validate::known_container(kit, mode)? {
            *mode = format!("container:{full}");
        }
    }
    // Whose network it shall have is asked again at each start: that container may come later.
    if let Ok(Some(full)) = validate::known_container(kit, &host_config.network_mode) {
        host_config.network_mode = format!("container:{full}");
    }
    config.hostname = hostname(
        kit,
        id,
        own_hostname,
        &host_config.network_mode,
        &host_config.uts_mode,
    );
    if !config.working_dir.is_empty() {
        config.working_dir = binds::clean(&config.working_dir);
    }
    let mut networks = networking_config.endpoints_config.into_map();
    let mode = host_config.network_mode.clone();
    if !mode.starts_with("container:") {
        // Old clients call the default network by its mode.
        let default = networks.remove("default").flatten();
        networks.entry(mode.clone()).or_insert(default);
    } else {
        networks.clear();
    }
    if matches!(mode.as_str(), "host" | "none") && networks.len() > 1 {
        return Err(invalid(format!(
            "conflicting options: cannot attach both {mode} and other networks"
        )));
    }
    let networks = validate::endpoints(kit, networks).await?;
    let legacy = mode == "bridge";
    for link in host_config.links.iter_mut() {
        let (name, alias) = crate::networks::split_link(link);
        let other = kit.registry.get(name);
        let other =
            other.map_err(|e| invalid(format!("could not get container for {name}: {}", e.message)))?;
        if other.view().record.host.network_mode == "host" {
            return Err(invalid(validate::HOST_AND_LINKS));
        }
        if legacy {
            // It leads to that container, whatever that is called later.
            *link = format!("{}:{alias}", other.id());
        }
    }
    let stop_signal = crate::units::signal(&config.stop_signal).unwrap_or(15);
    let resolved = mounts::resolve(kit, id, &config, &host_config).await?;
    let record = Record {
        id: id.into(),
        name: name.into(),
        created: clock::now(),
        path,
        args,
        image_id: image.id.clone(),
        image_manifest: Some(crate::images::manifest(&image)),
        config,
        host: host_config,
        networks,
        mounts: resolved.mounts.clone(),
        stop_signal,
        of_task,
    };
    let dir = kit.containers_root.join(id);
    if let Err(e) = make(kit, &record, &image, &dir, &resolved.fill).await {
        undo(kit, id, &record.mounts, &dir).await;
        mounts::undo(kit, id, &resolved).await;
        kit.volumes.settled(id);
        return Err(e);
    }
    let attributes = attributes(&record);
    let handle = spawn(
        kit,
        Seed {
            record,
            run: Run::default(),
            dir,
        },
    );
    kit.registry.insert(handle);
    kit.volumes.settled(id);
    kit.events.publish("container", "create", id, attributes);
    warnings.dedup();
    Ok(CreateResponse {
        id: id.into(),
        warnings,
    })
}

fn hostname(kit: &Kit, id: &str, own: String, network_mode: &str, uts_mode: &str) -> String {
    match (own.as_str(), network_mode) {
        ("", "host") => crate::host::Host::name_now(),
        ("", _) if uts_mode == "host" => crate::host::Host::name_now(),
        ("", mode) => match mode
            .strip_prefix("container:")
            .and_then(|id| kit.registry.get(id).ok())
        {
            Some(other) => other.view().record.config.hostname.clone(),
            None => ids::short(id).into(),
        },
        _ => own,
    }
}

/// The layer and the directory, at the same time; then the volumes' first contents.
async fn make(
    kit: &Kit,
    record: &Record,
    image: &shoal_node_drivers_images::Image,
    dir: &Path,
    fill: &[(String, String)],
) -> Result<()> {
    let written = {
        let (record, dir) = (record.clone(), dir.to_owned());
        crate::launch::blocking(move || write(&record, &dir))
    };
    let layer = async {
        kit.images
            .prepare(&record.id, image)
            .await
            .map_err(crate::images::error)
    };
    let (written, layer) = tokio::join!(written, layer);
    written?;
    layer?;
    for mount in record.mounts.iter().filter(|m| !m.layer.is_empty()) {
        let image = crate::images::find(&kit.images, &mount.image)?;
        let layer = kit.images.prepare(&mount.layer, &image).await;
        layer.map_err(crate::images::error)?;
    }
    if let (Some(quotas), Some(size)) = (&kit.quotas, record.host.storage_opt.get("size"))
        && let Some(bytes) = shoal_node_drivers_volumes::size(size)
    {
        let rootfs = kit.images.rootfs(&record.id).map_err(crate::images::error)?;
        let limited = quotas.limit(&[&rootfs.upper, &rootfs.work], bytes);
        limited.map_err(io("limit the size of container", &record.id))?;
    }
    if !fill.is_empty() {
        kit.volumes
            .fill(&kit.rootfs(&record.id)?, fill, kit.home_tmp.clone())
            .await?;
    }
    Ok(())
}

/// On disk, with its name in the directory above, before the create is answered.
fn write(record: &Record, dir: &Path) -> Result<()> {
    let fail = |e| io("write the configuration of container", &record.id)(e);
    files::make_dir(dir, 0o710).map_err(fail)?;
    record.found(dir).map_err(fail)
}

async fn undo(kit: &Kit, id: &str, mounts: &[MountRecord], dir: &Path) {
    let layers = mounts.iter().map(|m| m.layer.as_str()).filter(|l| !l.is_empty());
    for layer in layers.chain([id]) {
        let _ = kit.images.discard(layer).await;
    }
    let _ = files::remove_tree(dir);
}
