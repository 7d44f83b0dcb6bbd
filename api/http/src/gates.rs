//! What changed between API versions: requests lose what their version did not have, replies get or lose what a client of
//! that age relies on. One function per object, newest gates last.

use serde_json::{Map, Value, json};
use shoal_api_backend::{ApiVersion, Error, Listed};
use shoal_api_types::container::{ContainerInspect, ContainerSummary, CreateRequest, Resources};
use shoal_api_types::event::EventMessage;
use shoal_api_types::exec::ExecCreateRequest;
use shoal_api_types::image::{ImageInspect, ImageSummary};
use shoal_api_types::mount::{BindOptions, Mount};
use shoal_api_types::network::NetworkCreateRequest;
use shoal_api_types::swarm::{InitRequest, ServiceSpec};
use shoal_api_types::system::{DiskUsage, Info};

/// A request to create a container.
pub(crate) fn create(
    request: &mut CreateRequest,
    version: ApiVersion,
) -> Result<Option<&'static str>, Error> {
    let host = &mut request.host_config;
    if !version.at_least(25) {
        // Those clients remove the container themselves.
        host.auto_remove = false;
    }
    if !version.at_least(40) {
        if host.ipc_mode.is_empty() {
            host.ipc_mode = "shareable".into();
        }
        for mount in mounts(&mut host.mounts.0) {
            if let Some(bind) = &mut mount.bind_options {
                bind.non_recursive = false;
            }
        }
    }
    if !version.at_least(41) && host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = "host".into();
    }
    if version.at_least(42) {
        host.resources.kernel_memory = 0;
        // Zero and less meant "unlimited" before it meant "unchanged".
    } else {
        for mount in mounts(&mut host.mounts.0) {
            if let Some(bind) = &mut mount.bind_options {
                bind.create_mountpoint = false;
            }
        }
    }
    old_pids_limit(&mut host.resources, version);
    if !version.at_least(43) {
        host.annotations = Default::default();
    }
    if !version.at_least(44) {
        if let Some(check) = &mut request.config.healthcheck {
            check.start_interval = 0;
        }
        for mount in mounts(&mut host.mounts.0).filter(|mount| mount.kind == "bind") {
            let bind = mount.bind_options.get_or_insert_with(BindOptions::default);
            // Before, read-only binds left the mounts below them writable.
            bind.read_only_non_recursive = true;
            bind.read_only_force_recursive = false;
        }
        if request.networking_config.endpoints_config.len() > 1 {
            return Err(Error::invalid(
                "Container cannot be created with network endpoints: more than one is supported since API v1.44",
            ));
        }
    }
    if !version.at_least(45)
        && host.mounts.iter().any(|mount| {
            mount
                .volume_options
                .as_ref()
                .is_some_and(|o| !o.subpath.is_empty())
        })
    {
        return Err(Error::invalid("VolumeOptions.Subpath needs API v1.45 or newer"));
    }
    if !version.at_least(48) && host.mounts.iter().any(|mount| mount.kind == "image") {
        return Err(Error::invalid(
            "the \"image\" mount type needs API v1.48 or newer",
        ));
    }
    mac_address(request, version)
}

/// The address moved from the container to the endpoint in 1.44; the old field still counts for one network. Answers what
/// the client is told of that.
fn mac_address(request: &mut CreateRequest, version: ApiVersion) -> Result<Option<&'static str>, Error> {
    let wide = std::mem::take(&mut request.config.mac_address);
    if wide.is_empty() {
        return Ok(None);
    }
    if version.at_least(52) {
        // Ignored since then.
        return Ok(None);
    }
    let mode = match request.host_config.network_mode.as_str() {
        "" | "default" => "bridge".to_owned(),
        "host" => {
            return Err(Error::invalid(
                "conflicting options: mac-address and the network mode",
            ));
        }
        mode => mode.to_owned(),
    };
    if mode == "none" || mode.starts_with("container:") {
        return Err(Error::invalid(
            "conflicting options: mac-address and the network mode",
        ));
    }
    let endpoints = request.networking_config.endpoints_config.to_mut();
    let alone = endpoints.len() == 1;
    let name = if alone {
        endpoints.keys().next().cloned().unwrap_or(mode)
    } else {
        mode
    };
    let endpoint = endpoints
        .entry(name)
        .or_default()
        .get_or_insert_with(Default::default);
    if endpoint.mac_address.is_empty() {
        endpoint.mac_address = wide;
    } else if endpoint.mac_address != wide {
        return Err(Error::invalid(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
        ));
    }
    let told = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";
    Ok(version.at_least(44).then_some(told))
}

fn mounts(list: &mut Option<Vec<Mount>>) -> impl Iterator<Item = &mut Mount> {
    list.iter_mut().flatten()
}

/// Before 1.40 nobody could tell "no limit" from "leave it".
pub(crate) fn old_pids_limit(resources: &mut Resources, version: ApiVersion) {
    if !version.at_least(40) {
        resources.pids_limit = None;
    }
}

pub(crate) fn exec(request: &mut ExecCreateRequest, version: ApiVersion) {
    if !version.at_least(42) {
        request.console_size = None;
    }
    if !version.at_least(25) {
        request.env = Default::default();
    }
    if !version.at_least(35) {
        request.working_dir.clear();
    }
}

/// A container as inspect shows it; answers JSON because members come and go.
pub(crate) fn inspect(mut container: ContainerInspect, version: ApiVersion) -> ContainerInspect {
    if !version.at_least(45) {
        // Aliases of user-defined networks used to end with the short id.
        let short: String = container.id.chars().take(12).collect();
        if let Some(networks) = &mut container.network_settings.networks.0 {
            for (name, endpoint) in networks {
                let predefined = matches!(name.as_str(), "bridge" | "host" | "none");
                if !predefined && !endpoint.aliases.contains(&short) {
                    endpoint.aliases.push(short.clone());
                }
            }
        }
    }
    if !version.at_least(48) {
        container.image_manifest_descriptor = None;
    }
    let on_build = container.config.on_build.take();
    if version.at_least(52) {
        container.network_settings.default_network = None;
        container.config.on_build = on_build.filter(|list| !list.is_nil());
    } else {
        container.config.on_build = Some(on_build.unwrap_or_default());
        container.storage = None;
    }
    container
}

/// The versions since which containers in lists have had another member each.
const SUMMARY_GREW: [u16; Listed::SHAPES - 1] = [46, 48, 52];

/// Which of the shapes that a container in a list has had since is that of a version.
pub(crate) fn summary_shape(version: ApiVersion) -> usize {
    SUMMARY_GREW
        .iter()
        .filter(|minor| version.at_least(**minor))
        .count()
}

/// A container as lists show it in one of these shapes.
pub(crate) fn summary(container: &mut ContainerSummary, shape: usize) {
    if shape < 1 {
        container.host_config.annotations = Default::default();
    }
    if shape < 2 {
        container.image_manifest_descriptor = None;
    }
    if shape < 3 {
        container.health = None;
    }
}

pub(crate) fn images(list: &mut [ImageSummary], version: ApiVersion, manifests: bool) {
    for image in list {
        if !version.at_least(43) && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            image.repo_tags.push("<none>:<none>".into());
            image.repo_digests.push("<none>@<none>".into());
        }
        if !version.at_least(44) {
            image.virtual_size = image.size;
        }
        if !version.at_least(47) || !manifests {
            image.manifests = Default::default();
        }
        if !version.at_least(48) {
            image.descriptor = None;
        }
        if !version.at_least(51) {
            image.containers = -1;
        }
    }
}

pub(crate) fn image(mut image: ImageInspect, version: ApiVersion) -> Value {
    image.virtual_size = if version.at_least(44) { 0 } else { image.size };
    if !version.at_least(48) {
        image.descriptor = None;
        image.manifests = Default::default();
    }
    let built = Some(std::mem::take(&mut image.container_config));
    let mut value = to_value(&image);
    let Value::Object(members) = &mut value else {
        return value;
    };
    if !version.at_least(50) {
        let old = old_config(members.remove("Config"));
        members.insert("Config".into(), old);
    }
    if !version.at_least(45) {
        members.insert("ContainerConfig".into(), old_config(built));
        if !image.container.is_empty() {
            members.insert("Container".into(), image.container.into());
        }
    }
    if version.at_least(52) {
        for key in ["Parent", "DockerVersion", "Comment", "Author"] {
            if members.get(key).is_some_and(|text| text == "") {
                members.remove(key);
            }
        }
        if let Some(Value::Object(config)) = members.get_mut("Config") {
            config.retain(|_, member| !member.is_null() && *member != "");
        }
    }
    value
}

/// An image's configuration as it was shown while it was a container's.
fn old_config(config: Option<Value>) -> Value {
    let mut old = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null, "Image": "", "Volumes": null,
        "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null
    });
    if let (Value::Object(old), Some(Value::Object(config))) = (&mut old, config) {
        old.extend(config);
    }
    old
}

pub(crate) fn network(request: &mut NetworkCreateRequest, version: ApiVersion) {
    if !version.at_least(48) {
        request.enable_ipv4 = None;
    }
    // Names have been unique since 1.44; what a client says about it no longer counts.
    request.check_duplicate = Some(true);
}

pub(crate) fn info(mut info: Info, version: ApiVersion) -> Value {
    if !version.at_least(25) {
        // They print the bare names.
        for option in info.security_options.iter_mut() {
            if let Some(name) = option.strip_prefix("name=") {
                *option = name.split(',').next().unwrap_or_default().to_owned();
            }
        }
    }
    if version.at_least(42) {
        info.kernel_memory = false;
    }
    if !version.at_least(46) {
        info.containerd = None;
    }
    if !version.at_least(48) {
        info.runc_commit.expected.clone_from(&info.runc_commit.id);
        info.containerd_commit
            .expected
            .clone_from(&info.containerd_commit.id);
        info.init_commit.expected.clone_from(&info.init_commit.id);
    }
    if !version.at_least(49) {
        info.firewall_backend = None;
    }
    if !version.at_least(50) {
        info.discovered_devices = Default::default();
    }
    let mut value = to_value(&info);
    if let (Value::Object(members), false) = (&mut value, version.at_least(50)) {
        members.insert("BridgeNfIptables".into(), json!(false));
        members.insert("BridgeNfIp6tables".into(), json!(false));
    }
    if let (Some(Value::Object(registries)), false) = (value.get_mut("RegistryConfig"), version.at_least(48))
    {
        for key in [
            "AllowNondistributableArtifactsCIDRs",
            "AllowNondistributableArtifactsHostnames",
        ] {
            registries.entry(key).or_insert(Value::Null);
        }
    }
    value
}

pub(crate) fn event(event: &mut EventMessage, version: ApiVersion) {
    // Copies of newer members, kept for clients that never learned those.
    if !version.at_least(52) && matches!(event.kind.as_str(), "container" | "image") {
        event.status.clone_from(&event.action);
        event.id.clone_from(&event.actor.id);
        if event.kind == "container" {
            event.from = event.actor.attributes.get("image").cloned().unwrap_or_default();
        }
    } else if version.at_least(52) {
        event.status.clear();
        event.id.clear();
        event.from.clear();
    }
}

/// Disk usage; since 1.52 one object per kind.
pub(crate) fn usage(mut usage: DiskUsage, version: ApiVersion, verbose: bool) -> Value {
    // Here the number of containers was always told; lists of images learned it in 1.51.
    for image in usage.images.0.iter_mut().flatten() {
        let containers = image.containers;
        images(std::slice::from_mut(image), version, false);
        image.containers = containers;
    }
    for container in usage.containers.0.iter_mut().flatten() {
        summary(container, summary_shape(version));
    }
    if !version.at_least(52) {
        return to_value(&usage);
    }
    let mut members = Map::new();
    let mut add = |name: &str, list: Option<Value>, active: usize, total: i64, reclaimable: i64| {
        let Some(Value::Array(items)) = list else { return };
        let mut one = json!({
            "ActiveCount": active, "TotalCount": items.len(), "Reclaimable": reclaimable, "TotalSize": total
        });
        if verbose && let Value::Object(one) = &mut one {
            one.insert("Items".into(), Value::Array(items));
        }
        members.insert(name.into(), one);
    };
    let used = usage.images.iter().filter(|image| image.containers > 0);
    let used_bytes: i64 = used
        .clone()
        .map(|image| image.size - image.shared_size.max(0))
        .sum();
    add(
        "ImageUsage",
        usage.images.0.as_ref().map(to_value),
        used.count(),
        usage.layers_size,
        (usage.layers_size - used_bytes).max(0),
    );
    let running = |state: &str| matches!(state, "running" | "paused" | "restarting");
    add(
        "ContainerUsage",
        usage.containers.0.as_ref().map(to_value),
        usage
            .containers
            .iter()
            .filter(|container| running(&container.state))
            .count(),
        usage.containers.iter().map(|container| container.size_rw).sum(),
        usage
            .containers
            .iter()
            .filter(|container| !running(&container.state))
            .map(|container| container.size_rw)
            .sum(),
    );
    let refs = |volume: &shoal_api_types::volume::Volume| {
        volume.usage_data.as_ref().map_or(0, |data| data.ref_count)
    };
    let size = |volume: &shoal_api_types::volume::Volume| {
        volume.usage_data.as_ref().map_or(0, |data| data.size.max(0))
    };
    add(
        "VolumeUsage",
        usage.volumes.0.as_ref().map(to_value),
        usage.volumes.iter().filter(|volume| refs(volume) > 0).count(),
        usage.volumes.iter().map(size).sum(),
        usage
            .volumes
            .iter()
            .filter(|volume| refs(volume) <= 0)
            .map(size)
            .sum(),
    );
    add(
        "BuildCacheUsage",
        usage.build_cache.0.as_ref().map(to_value),
        0,
        0,
        0,
    );
    Value::Object(members)
}

pub(crate) fn swarm_init(request: &mut InitRequest, version: ApiVersion) {
    if !version.at_least(39) {
        request.default_addr_pool = Default::default();
        request.subnet_size = 0;
    }
    if !version.at_least(40) {
        request.data_path_port = 0;
    }
}

pub(crate) fn service(spec: &mut ServiceSpec, version: ApiVersion) {
    let task = &mut spec.task_template;
    if let Some(container) = &mut task.container_spec {
        if !version.at_least(40) {
            container.sysctls = Default::default();
        }
        if !version.at_least(41) {
            container.capability_add = Default::default();
            container.capability_drop = Default::default();
            container.ulimits = Default::default();
        }
        if !version.at_least(44) {
            if let Some(check) = &mut container.healthcheck {
                check.start_interval = 0;
            }
            if let Some(privileges) = &mut container.privileges {
                privileges.seccomp = None;
                privileges.app_armor = None;
                privileges.no_new_privileges = false;
            }
        }
        if !version.at_least(46) {
            container.oom_score_adj = 0;
            for mount in mounts(&mut container.mounts.0) {
                if let Some(tmpfs) = &mut mount.tmpfs_options {
                    tmpfs.options = Default::default();
                }
            }
        }
    }
    if let Some(resources) = &mut task.resources {
        if let (Some(limits), false) = (&mut resources.limits, version.at_least(41)) {
            limits.pids = 0;
        }
        if !version.at_least(52) {
            resources.swap_bytes = None;
            resources.memory_swappiness = None;
        }
    }
    if let (Some(placement), false) = (&mut task.placement, version.at_least(40)) {
        placement.max_replicas = 0;
    }
    if !version.at_least(41) {
        spec.mode.replicated_job = None;
        spec.mode.global_job = None;
    }
}

fn to_value<T: serde::Serialize>(value: &T) -> Value {
    // Our own types: nothing in them can fail to encode.
    serde_json::to_value(value).unwrap_or_default()
}
