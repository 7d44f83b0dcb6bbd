//! Runs the agent's tasks on this host's engine, through the same traits that serve the API.
//!
//! A task is a container with Docker's name and labels; by its label it is found again, so nothing about tasks is kept
//! here and every act may be asked for twice.

pub mod ground;
mod health;
mod image;
mod listening;
mod logs;
mod spec;
mod template;

use crate::attachments::Attachments;
use async_trait::async_trait;
use futures_util::StreamExt;
use parking_lot::RwLock;
use shoal_api_backend::{
    Class, Containers, CreateContainer, ListContainers, Listed, Networks, RemoveContainer, StopContainer,
    System, WaitCondition,
};
use shoal_api_types::Filters;
use shoal_api_types::container::ContainerInspect;
use shoal_node_agent::{Executor, Exit, LogLine, LogOptions, Material, Peers, Started, TaskError};
use shoal_node_core_host::overlay::News;
use shoal_node_engine::{ImagesService, OverlayNetworks};
use shoal_raft_objects::service::PortConfig;
use shoal_raft_objects::task::ContainerStatus;
use shoal_raft_objects::{NodeDescription, Task, TaskId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub const TASK_ID: &str = "com.docker.swarm.task.id";

/// The engine as tasks need it.
#[derive(Clone)]
pub struct TaskRunner {
    pub containers: Arc<dyn Containers>,
    pub images: ImagesService,
    pub system: Arc<dyn System>,
    pub networks: Arc<dyn Networks>,
    pub overlays: OverlayNetworks,
    pub attachments: Attachments,
    /// The other nodes, while this one is in a cluster.
    pub others: Arc<RwLock<Option<Peers>>>,
}

fn fatal(e: impl std::fmt::Display) -> TaskError {
    TaskError::Fatal(e.to_string())
}

impl TaskRunner {
    pub fn peers(&self) -> Option<Peers> {
        self.others.read().clone()
    }

    /// The ids of the task's containers; more than one only if a creation was cut off and repeated.
    async fn containers_of(&self, task: &TaskId) -> Result<Vec<String>, TaskError> {
        let found = self.labelled(format!("{TASK_ID}={task}")).await?;
        Ok(found.into_iter().map(|c| c.id.clone()).collect())
    }

    async fn labelled(&self, label: String) -> Result<Vec<Arc<Listed>>, TaskError> {
        let mut filters = Filters::new();
        filters.add("label", label);
        let options = ListContainers {
            all: true,
            filters,
            ..ListContainers::default()
        };
        let found = self.containers.list(options).await;
        found.map_err(|e| TaskError::Temporary(e.to_string()))
    }

    /// By name: one look-up instead of a list, on the path that every start takes.
    async fn inspect(&self, task: &Task) -> Result<ContainerInspect, TaskError> {
        self.containers.inspect(&task.name(), false).await.map_err(fatal)
    }
}

fn status_of(container: &ContainerInspect) -> ContainerStatus {
    ContainerStatus {
        container_id: container.id.clone(),
        pid: i32::try_from(container.state.pid).unwrap_or(0),
        exit_code: i32::try_from(container.state.exit_code).unwrap_or(-1),
    }
}

#[async_trait]
impl Executor for TaskRunner {
    async fn describe(&self) -> NodeDescription {
        let info = self.system.info().await.unwrap_or_default();
        let labels = info.labels.0.clone().unwrap_or_default();
        let pair = |l: &String| l.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let plugins = ["bridge", "host", "null", "overlay"]
            .iter()
            .map(|n| ("Network".to_owned(), (*n).to_owned()));
        let logs = info
            .plugins
            .log
            .0
            .clone()
            .unwrap_or_default()
            .into_iter()
            .map(|n| ("Log".to_owned(), n));
        NodeDescription {
            hostname: info.name,
            os: info.os_type,
            architecture: info.architecture,
            nano_cpus: info.n_cpu.saturating_mul(1_000_000_000),
            memory_bytes: info.mem_total,
            engine_version: info.server_version,
            engine_labels: labels.iter().filter_map(pair).collect(),
            plugins: logs
                .chain(plugins)
                .chain([("Volume".to_owned(), "local".to_owned())])
                .collect(),
            images: image::held(&self.images),
            data_path_key: self.overlays.key(),
            ..NodeDescription::default()
        }
    }

    async fn lay(&self, news: News) -> Result<(), TaskError> {
        ground::lay(&self.overlays, news).await?;
        self.attachments.laid(self.overlays.own_containers());
        Ok(())
    }

    async fn examine(&self) -> Result<Vec<String>, TaskError> {
        let overlays = self.overlays.clone();
        let done = tokio::task::spawn_blocking(move || overlays.compare()).await;
        done.map_err(fatal)?.map_err(fatal)
    }

    fn meet(&self, peers: Peers) {
        *self.others.write() = Some(peers);
    }

    async fn prepare(&self, task: &Task, material: &Material) -> Result<(), TaskError> {
        if !material.secrets.is_empty() || !material.configs.is_empty() {
            return Err(fatal("secrets and configs are not available on this node"));
        }
        if self.containers.inspect(&task.name(), false).await.is_ok() {
            return Ok(());
        }
        let places = ground::places(self, task).await?;
        let request = spec::request(task, &places).map_err(fatal)?;
        image::ensure(self, task).await?;
        let create = CreateContainer {
            name: task.name(),
            platform: None,
            request,
            of_task: true,
        };
        match self.containers.create(create).await {
            Ok(_) => Ok(()),
            // Made by an earlier attempt whose answer was cut off.
            Err(e) if e.class == Class::Conflict && self.inspect(task).await.is_ok() => Ok(()),
            Err(e) => Err(fatal(e)),
        }
    }

    async fn start(&self, task: &Task) -> Result<Started, TaskError> {
        match self.containers.start(&task.name()).await {
            Ok(()) => {}
            Err(e) if e.class == Class::NotModified => {}
            Err(e) => return Err(fatal(e)),
        }
        let mut container = self.inspect(task).await?;
        match health::is_checked(&container) {
            true => {
                health::await_healthy(self.system.as_ref(), self.containers.as_ref(), &task.name()).await?;
                container = self.inspect(task).await?;
            }
            false => listening::await_listening(task, container.state.pid).await,
        }
        Ok(Started {
            container: status_of(&container),
            ports: ports(&container),
        })
    }

    async fn wait(&self, task: &Task) -> Result<Exit, TaskError> {
        let name = task.name();
        let mut end = self
            .containers
            .wait(&name, WaitCondition::NotRunning)
            .await
            .map_err(fatal)?;
        let checked = health::is_checked(&self.inspect(task).await?);
        let unhealthy = async {
            if checked {
                health::await_unhealthy(self.system.as_ref(), self.containers.as_ref(), &name).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let sick = tokio::select! {
            _ = end.next() => false,
            () = unhealthy => true,
        };
        if sick {
            self.shutdown(task).await?;
        }
        let container = self.inspect(task).await?;
        let status = status_of(&container);
        let error = match sick {
            true => Some("unhealthy container".to_owned()),
            false => Some(container.state.error.clone()).filter(|e| !e.is_empty()),
        };
        Ok(Exit {
            code: status.exit_code,
            error,
            container: status,
        })
    }

    async fn shutdown(&self, task: &Task) -> Result<(), TaskError> {
        ground::finish_exchanges(self.containers.as_ref(), task).await;
        let options = StopContainer {
            signal: None,
            timeout: Some(spec::grace_seconds(task)),
        };
        match self.containers.stop(&task.name(), options).await {
            Ok(()) => Ok(()),
            Err(e) if matches!(e.class, Class::NotFound | Class::NotModified) => Ok(()),
            Err(e) => Err(TaskError::Temporary(e.to_string())),
        }
    }

    async fn remove(&self, task: &TaskId) -> Result<(), TaskError> {
        for id in self.containers_of(task).await? {
            let options = RemoveContainer {
                volumes: true,
                force: true,
                link: false,
            };
            match self.containers.remove(&id, options).await {
                Ok(()) => {}
                // Gone, or going by somebody else's hand.
                Err(e) if matches!(e.class, Class::NotFound | Class::Conflict) => {}
                Err(e) => return Err(TaskError::Temporary(e.to_string())),
            }
        }
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, TaskError> {
        let found = self.labelled(TASK_ID.to_string()).await?;
        let id = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(TASK_ID).map(|id| TaskId::from(id.as_str()))
        };
        Ok(found.iter().filter_map(|c| id(&c.labels)).collect())
    }

    async fn logs(&self, task: &Task, options: LogOptions) -> Result<mpsc::Receiver<LogLine>, TaskError> {
        logs::read(self.containers.as_ref(), &task.name(), options).await
    }
}

/// The host ports that the container really has.
fn ports(container: &ContainerInspect) -> Vec<PortConfig> {
    let mut found = Vec::new();
    for (port, bindings) in container.network_settings.ports.iter() {
        let (target, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        for binding in bindings.iter() {
            if let (Ok(target_port), Ok(published_port)) = (target.parse(), binding.host_port.parse()) {
                found.push(PortConfig {
                    name: String::new(),
                    protocol: protocol.to_owned(),
                    target_port,
                    published_port,
                    publish_mode: "host".into(),
                });
            }
        }
    }
    // IPv4 and IPv6 bindings of one port are one port to the user.
    found.sort();
    found.dedup();
    found
}

/// How long a stream of events may be silent before the state is looked at again.
pub(crate) const SECOND_LOOK: Duration = Duration::from_secs(5);
