//! `docker inspect`.

use super::kit::Kit;
use super::{Containers, Record, View};
use crate::clock;
use crate::error::Result;
use crate::launch::{HOSTNAME, HOSTS, RESOLV_CONF};
use crate::networks::{Endpoint, endpoint_names, port_map};
use shoal_api_types::container::{
    ContainerInspect, DefaultNetworkSettings, DriverData, Health, NetworkSettings, State,
};
use shoal_api_types::network::EndpointSettings;
use shoal_api_types::{Dict, Slice};
use shoal_node_core_host::lifecycle::Phase;
use std::path::Path;

impl Containers {
    pub async fn inspect(&self, reference: &str, size: bool) -> Result<ContainerInspect> {
        let handle = self.kit.registry.get(reference)?;
        let view = handle.view();
        let mut out = describe(&self.kit, &view, handle.dir());
        if size {
            let image = crate::images::find(&self.kit.images, &view.record.image_id).map_or(0, |i| i.size);
            let own = self.kit.images.usage(handle.id()).await.unwrap_or(0);
            let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            out.size_rw = Some(signed(own));
            out.size_root_fs = Some(signed(own.saturating_add(image)));
        }
        Ok(out)
    }
}

fn describe(kit: &Kit, view: &View, dir: &Path) -> ContainerInspect {
    let record = &view.record;
    // These are written at the first start, one that fails too.
    let started = view.state.started_at.0 > 0 || dir.join(HOSTS).exists();
    let path = |name: &str| {
        if started {
            dir.join(name).to_string_lossy().into_owned()
        } else {
            String::new()
        }
    };
    let log_path = match record.host.log_config.kind.as_str() {
        "json-file" if started => record.log_path(dir).to_string_lossy().into_owned(),
        _ => String::new(),
    };
    let mut host = record.host.clone();
    if host.masked_paths.is_nil() && !host.privileged {
        host.masked_paths = shoal_node_core_host::ocispec::masked_paths().into();
        host.readonly_paths = shoal_node_core_host::ocispec::readonly_paths().into();
    }
    // Links of other networks are shown there.
    let links = crate::launch::links(kit, record)
        .map(|(alias, to)| format!("/{}:/{}/{alias}", to.record.name, record.name));
    let links: Vec<String> = links.collect();
    host.links = if links.is_empty() {
        Slice::nil()
    } else {
        links.into()
    };
    let execs = kit.execs.of(&record.id);
    ContainerInspect {
        id: record.id.clone(),
        created: clock::timestamp(record.created),
        path: record.path.clone(),
        args: record.args.clone().into(),
        state: state(view),
        image: record.image_id.clone(),
        image_manifest_descriptor: record.image_manifest.clone(),
        resolv_conf_path: path(RESOLV_CONF),
        hostname_path: path(HOSTNAME),
        hosts_path: path(HOSTS),
        log_path,
        name: format!("/{}", record.name),
        restart_count: i64::try_from(view.state.restart_count).unwrap_or(i64::MAX),
        driver: crate::system::STORAGE_DRIVER.into(),
        platform: "linux".into(),
        exec_ids: if execs.is_empty() {
            Slice::nil()
        } else {
            execs.into()
        },
        app_armor_profile: match crate::launch::apparmor(kit, record) {
            Some(profile) => profile,
            None if kit.host.apparmor => "unconfined".into(),
            None => String::new(),
        },
        host_config: host,
        graph_driver: Some(graph_driver(kit, record)),
        mounts: record.mounts.iter().map(|m| m.point.clone()).collect(),
        config: record.config.clone(),
        network_settings: network_settings(kit, view),
        ..ContainerInspect::default()
    }
}

fn graph_driver(kit: &Kit, record: &Record) -> DriverData {
    let mut data = Dict::new();
    if let Ok(shoal_node_drivers_shim::Rootfs::Overlay { lower, upper, work }) = kit.rootfs(&record.id) {
        let text = |p: &Path| p.to_string_lossy().into_owned();
        data.insert("ID", record.id.clone());
        data.insert(
            "LowerDir",
            lower.iter().map(|p| text(p)).collect::<Vec<_>>().join(":"),
        );
        data.insert("UpperDir", text(&upper));
        data.insert("WorkDir", text(&work));
        // There is no mount of it in the host's tree; a running one is seen through its process.
        data.insert(
            "MergedDir",
            upper
                .parent()
                .map(|p| text(&p.join("merged")))
                .unwrap_or_default(),
        );
    }
    DriverData {
        data,
        name: crate::system::STORAGE_DRIVER.into(),
    }
}

pub fn state(view: &View) -> State {
    let s = &view.state;
    let health = view.health.as_ref().map(|run| Health {
        status: run.health.status.as_str().into(),
        failing_streak: i64::try_from(run.health.failing_streak).unwrap_or(i64::MAX),
        log: run.log.iter().cloned().collect(),
    });
    State {
        status: s.phase.as_str().into(),
        running: s.phase.counts_as_running(),
        paused: s.phase == Phase::Paused,
        restarting: s.phase == Phase::Restarting,
        oom_killed: s.oom_killed,
        dead: s.phase == Phase::Dead,
        pid: i64::from(s.pid),
        exit_code: i64::from(s.exit_code),
        error: s.error.clone(),
        started_at: clock::timestamp(s.started_at),
        finished_at: clock::timestamp(s.finished_at),
        health,
    }
}

/// Every network of the container: as it is on the ones it holds, as asked for otherwise.
pub fn networks(kit: &Kit, view: &View) -> Dict<EndpointSettings> {
    let mut out: Dict<EndpointSettings> = Dict::new();
    let started = view.state.started_at.0 > 0;
    for (name, asked) in &view.record.networks {
        let held: Option<&Endpoint> = view
            .endpoints
            .iter()
            .find(|e| e.network == *name || e.network_id == *name);
        let settings = match held {
            Some(endpoint) => endpoint.settings(Some(asked)),
            None => {
                let mut settings = asked.clone();
                // Nothing is known of the network before the first start, and what was known stays as long as it is there.
                if started {
                    let _ = kit.networks.look(name, |network| {
                        settings.network_id.clone_from(&network.id);
                        if !network.is_predefined() {
                            settings.dns_names = endpoint_names(&view.record, asked);
                        }
                    });
                }
                settings.mac_address = String::new();
                settings
            }
        };
        out.insert(held.map_or(name.clone(), |e| e.network.clone()), settings);
    }
    out
}

fn network_settings(kit: &Kit, view: &View) -> NetworkSettings {
    let record = &view.record;
    let live = view.phase().is_live();
    let exposed = record.config.exposed_ports.keys().cloned();
    // Where there is a network to reach them by.
    let reached = view
        .endpoints
        .iter()
        .any(|e| !matches!(e.driver.as_str(), "host" | "null"));
    let exposed: Vec<String> = if live && reached {
        exposed.collect()
    } else {
        Vec::new()
    };
    let mut out = NetworkSettings {
        ports: port_map(&view.endpoints, exposed.into_iter()),
        networks: networks(kit, view),
        ..NetworkSettings::default()
    };
    if live {
        out.sandbox_id = record.id.clone();
        out.sandbox_key = format!("/proc/{}/ns/net", view.state.pid);
    }
    let first = view.endpoints.iter().find(|e| e.network == "bridge");
    out.default_network = Some(match first.map(|first| first.settings(None)) {
        None => DefaultNetworkSettings::default(),
        Some(settings) => DefaultNetworkSettings {
            endpoint_id: settings.endpoint_id,
            gateway: settings.gateway,
            ip_address: settings.ip_address,
            ip_prefix_len: settings.ip_prefix_len,
            mac_address: settings.mac_address,
            ipv6_gateway: settings.ipv6_gateway,
            global_ipv6_address: settings.global_ipv6_address,
            global_ipv6_prefix_len: settings.global_ipv6_prefix_len,
            ..DefaultNetworkSettings::default()
        },
    });
    out
}
