//! `/services`.

use super::{meta, reshape, timestamp};
use serde_json::{Value, json};
use shoal_api_backend::{Error, Result};
use shoal_api_types::swarm as api;
use shoal_raft_objects::service::{ModeKind, UpdateState};
use shoal_raft_objects::{ContainerSpec, PortConfig, Service, ServiceSpec, UpdateStatus};

/// A client's spec as an object. Docker's defaults are *not* filled in: a spec comes back as it was sent, and whoever
/// decides over it applies them.
pub fn spec_from(mut given: api::ServiceSpec, pull_auth: Option<String>) -> Result<ServiceSpec> {
    // The deprecated place for networks; both at once is refused, as Docker does.
    if !given.networks.is_empty() {
        if !given.task_template.networks.is_empty() {
            return Err(Error::invalid(
                "networks must be migrated to TaskSpec before being changed",
            ));
        }
        given.task_template.networks = std::mem::take(&mut given.networks);
    }
    match given.task_template.runtime.as_str() {
        // One spelling of the default: the stock CLI sends back the word that a listing shows, and a spec that says
        // the same must compare as the same, or every scaling would restart the tasks.
        "" | "container" => given.task_template.runtime.clear(),
        "plugin" => return Err(Error::not_implemented("a service of plugins")),
        other => return Err(Error::invalid(format!("unknown runtime {other:?}"))),
    }
    if let Some(container) = &given.task_template.container_spec {
        if given.task_template.network_attachment_spec.is_some() {
            return Err(Error::invalid(
                "only one of ContainerSpec, PluginSpec and NetworkAttachmentSpec may be set",
            ));
        }
        let image = container.image.as_str();
        if image.is_empty() {
            return Err(invalid_argument(
                "ContainerSpec: image reference must be provided",
            ));
        }
    } else {
        return Err(invalid_argument("TaskSpec: missing runtime"));
    }
    let mut spec: ServiceSpec = reshape("service spec", &given)?;
    if let Some(container) = &mut spec.task_template.container_spec {
        container.pull_auth = pull_auth;
    }
    Ok(spec)
}

/// A refusal in the words of Docker's daemon, which passes on what its cluster half said, wrapping included.
pub fn invalid_argument(why: &str) -> Error {
    Error::invalid(format!("rpc error: code = InvalidArgument desc = {why}"))
}

pub fn service(
    service: &Service,
    status: Option<api::ServiceStatus>,
    insert_defaults: bool,
) -> Result<api::Service> {
    let is_job = matches!(
        service.spec.mode.kind(),
        ModeKind::ReplicatedJob { .. } | ModeKind::GlobalJob
    );
    Ok(api::Service {
        id: service.id.to_string(),
        meta: meta(&service.meta),
        spec: spec(&service.spec, insert_defaults)?,
        previous_spec: service
            .previous_spec
            .as_ref()
            .map(|s| spec(s, insert_defaults))
            .transpose()?,
        endpoint: endpoint(service),
        update_status: service.update_status.as_ref().map(update_status),
        service_status: status,
        job_status: is_job.then(|| api::JobStatus {
            job_iteration: api::Version {
                index: service.job_iteration,
            },
            last_execution: timestamp(service.last_execution.unwrap_or_default()),
        }),
    })
}

fn endpoint(service: &Service) -> api::Endpoint {
    let vips = service.endpoint.virtual_ips.iter().map(|vip| api::VirtualIp {
        network_id: vip.network.to_string(),
        addr: format!("{}/{}", vip.address, vip.prefix_len),
    });
    let vips: Vec<_> = vips.collect();
    let spec = service.spec.endpoint_spec.clone().unwrap_or_default();
    api::Endpoint {
        spec: api::EndpointSpec {
            mode: spec.mode.clone(),
            ports: ports(&spec.ports),
        },
        ports: ports(&service.endpoint.ports),
        virtual_ips: if vips.is_empty() {
            Default::default()
        } else {
            shoal_api_types::Slice(Some(vips))
        },
    }
}

pub fn ports(ports: &[PortConfig]) -> shoal_api_types::Slice<api::PortConfig> {
    if ports.is_empty() {
        return Default::default();
    }
    let ports = ports.iter().map(|p| api::PortConfig {
        name: p.name.clone(),
        protocol: p.protocol.clone(),
        target_port: p.target_port.into(),
        published_port: p.published_port.into(),
        publish_mode: p.publish_mode.clone(),
    });
    shoal_api_types::Slice(Some(ports.collect()))
}

/// The spec as a client sees it: without the credentials that pull its image.
pub fn spec(spec: &ServiceSpec, insert_defaults: bool) -> Result<api::ServiceSpec> {
    let mut value = serde_json::to_value(spec).map_err(unreadable)?;
    clean(&mut value["TaskTemplate"]);
    if insert_defaults {
        defaults(&mut value);
    }
    shoal_api_types::go::decode_value(value).map_err(unreadable)
}

pub fn task_spec(spec: &shoal_raft_objects::TaskSpec) -> Result<api::TaskSpec> {
    let mut value = serde_json::to_value(spec).map_err(unreadable)?;
    clean(&mut value);
    shoal_api_types::go::decode_value(value).map_err(unreadable)
}

fn clean(template: &mut Value) {
    if let Some(Value::Object(container)) = template.get_mut("ContainerSpec") {
        container.remove("ShoalPullAuth");
    }
    if let Value::Object(template) = template {
        // Docker shows both, whatever was sent.
        template.entry("Runtime").or_insert_with(|| json!("container"));
    }
}

/// What a service that says nothing gets, as `service inspect --pretty` shows it.
fn defaults(spec: &mut Value) {
    let update = json!({
        "Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000i64, "MaxFailureRatio": 0.0,
        "Order": "stop-first"
    });
    fill(spec, "UpdateConfig", &update);
    fill(spec, "RollbackConfig", &update);
    fill(spec, "EndpointSpec", &json!({"Mode": "vip"}));
    let template = &mut spec["TaskTemplate"];
    fill(template, "Resources", &json!({"Limits": {}, "Reservations": {}}));
    let restart = json!({"Condition": "any", "Delay": 5_000_000_000i64, "MaxAttempts": 0});
    fill(template, "RestartPolicy", &restart);
    fill(
        template,
        "ContainerSpec",
        &json!({"StopGracePeriod": 10_000_000_000i64, "DNSConfig": {}}),
    );
}

/// Members of `with` that `value[key]` lacks.
fn fill(value: &mut Value, key: &str, with: &Value) {
    if !value[key].is_object() {
        value[key] = json!({});
    }
    if let (Value::Object(into), Value::Object(with)) = (&mut value[key], with) {
        for (key, default) in with {
            into.entry(key).or_insert_with(|| default.clone());
        }
    }
}

/// How far the service's update is, in Docker's word for it.
pub fn update_state(service: &Service) -> Option<&'static str> {
    service
        .update_status
        .as_ref()
        .map(|status| state_word(status.state))
}

fn state_word(state: UpdateState) -> &'static str {
    match state {
        UpdateState::Updating => "updating",
        UpdateState::Paused => "paused",
        UpdateState::Completed => "completed",
        UpdateState::RollbackStarted => "rollback_started",
        UpdateState::RollbackPaused => "rollback_paused",
        UpdateState::RollbackCompleted => "rollback_completed",
    }
}

fn update_status(status: &UpdateStatus) -> api::UpdateStatus {
    api::UpdateStatus {
        state: state_word(status.state).to_owned(),
        started_at: status.started_at.map(timestamp),
        completed_at: status.completed_at.map(timestamp),
        message: status.message.clone(),
    }
}

/// Which credentials an updated service keeps: those given now, or those of the spec named.
pub fn pull_auth(given: String, from: &str, service: &Service) -> Result<Option<String>> {
    if !given.is_empty() {
        return Ok(Some(given));
    }
    let of = |container: Option<&ContainerSpec>| container.and_then(|c| c.pull_auth.clone());
    match from {
        "" | "spec" => Ok(of(service.spec.task_template.container_spec.as_ref())),
        "previous-spec" => match &service.previous_spec {
            Some(previous) => Ok(of(previous.task_template.container_spec.as_ref())),
            None => Err(Error::invalid("service does not have a previous spec")),
        },
        other => Err(Error::invalid(format!(
            "unsupported registryAuthFrom value {other:?}"
        ))),
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::system(format!("cannot render a service: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: Value) -> api::ServiceSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_spec_comes_back_as_it_was_sent_without_its_credentials() {
        let sent = json!({
            "Name": "web",
            "Labels": {"a": "b"},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "busybox@sha256:00", "Args": ["sleep", "1"], "Env": ["A=1"],
                    "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}]
                },
                "Placement": {"Constraints": ["node.role==manager"]},
                "ForceUpdate": 0,
                "Runtime": "container"
            },
            "Mode": {"Replicated": {"Replicas": 3}},
            "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}]}
        });
        let spec = spec_from(given(sent.clone()), Some("secret".into())).unwrap();
        assert_eq!(
            spec.task_template
                .container_spec
                .as_ref()
                .unwrap()
                .pull_auth
                .as_deref(),
            Some("secret")
        );
        let back = serde_json::to_value(super::spec(&spec, false).unwrap()).unwrap();
        assert_eq!(back, sent);
    }

    #[test]
    fn defaults_are_shown_only_when_asked_for() {
        let spec = spec_from(
            given(json!({"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "b"}}})),
            None,
        )
        .unwrap();
        assert!(super::spec(&spec, false).unwrap().update_config.is_none());
        let full = super::spec(&spec, true).unwrap();
        assert_eq!(full.update_config.unwrap().failure_action, "pause");
        let restart = full.task_template.restart_policy.unwrap();
        assert_eq!(
            (restart.condition.as_str(), restart.delay),
            ("any", Some(5_000_000_000))
        );
    }

    #[test]
    fn a_spec_without_an_image_is_refused() {
        for template in [
            json!({}),
            json!({"ContainerSpec": {}}),
            json!({"Runtime": "plugin"}),
        ] {
            assert!(spec_from(given(json!({"Name": "a", "TaskTemplate": template})), None).is_err());
        }
    }
}
