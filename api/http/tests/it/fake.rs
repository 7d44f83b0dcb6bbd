//! Backends that answer from memory. Containers: `echo` gives back its stdin when that ends, `cat` at once, `tty` as `echo`
//! with a terminal, `forever` never ends; anything else is unknown.

use crate::wire::golden;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use shoal_api_backend::*;
use shoal_api_http::Backends;
use shoal_api_types::auth::{AuthConfig, AuthResponse};
use shoal_api_types::container::*;
use shoal_api_types::event::{EventActor, EventMessage};
use shoal_api_types::exec::*;
use shoal_api_types::go::decode_value;
use shoal_api_types::image::*;
use shoal_api_types::message::JsonMessage;
use shoal_api_types::network::*;
use shoal_api_types::system::{DiskUsage, Info, Version};
use shoal_api_types::volume::*;
use shoal_api_types::{Filters, swarm};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What was asked of the fakes, for tests to look at.
#[derive(Default)]
pub struct Seen {
    pub created: Mutex<Vec<CreateContainer>>,
    pub open_streams: AtomicUsize,
    pub started: tokio::sync::Notify,
    pub pulled: Mutex<Vec<PullImage>>,
}

#[derive(Clone, Default)]
pub struct Fake(pub Arc<Seen>);

pub fn backends() -> Backends {
    Fake::default().backends()
}

impl Fake {
    pub fn backends(&self) -> Backends {
        self.forwarding_by(Arc::new(LocalOnly))
    }
    pub fn forwarding_by(&self, forwarding: Arc<dyn Forwarding>) -> Backends {
        let all = Arc::new(self.clone());
        Backends {
            containers: all.clone(),
            execs: all.clone(),
            images: all.clone(),
            networks: all.clone(),
            volumes: all.clone(),
            system: all.clone(),
            swarm: all,
            forwarding,
        }
    }
}

/// Counts itself as long as it lives.
struct Open(Arc<Seen>);
impl Open {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.open_streams.fetch_add(1, Ordering::SeqCst);
        Self(seen.clone())
    }
}
impl Drop for Open {
    fn drop(&mut self) {
        self.0.open_streams.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
    let mut out = vec![stream, 0, 0, 0];
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
    out
}

fn known(id: &str) -> Result<()> {
    match id {
        "echo" | "cat" | "tty" | "forever" => Ok(()),
        _ => Err(Error::not_found(format!("No such container: {id}"))),
    }
}

/// A process: `cat` answers as it reads, the others when their input has ended.
fn process(id: &str) -> Attached {
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let (tty, at_once, framed) = (id == "tty", id == "cat", id != "tty");
    tokio::spawn(async move {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match far.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) if at_once => {
                    let _ = far.write_all(&frame(1, &buffer[..count])).await;
                }
                Ok(count) => all.extend_from_slice(&buffer[..count]),
            }
        }
        if !at_once {
            let text = [b"got: ".as_slice(), &all].concat();
            let _ = far.write_all(&if framed { frame(1, &text) } else { text }).await;
        }
    });
    Attached {
        tty,
        stream: Box::new(near),
    }
}

#[async_trait]
impl Containers for Fake {
    async fn create(&self, request: CreateContainer) -> Result<CreateResponse> {
        self.0.created.lock().unwrap().push(request);
        Ok(CreateResponse {
            id: "c".repeat(64),
            warnings: Vec::new(),
        })
    }
    async fn list(&self, _: ListContainers) -> Result<Vec<ContainerSummary>> {
        Ok(decode_value(golden("container_list")).unwrap())
    }
    async fn inspect(&self, id: &str, _: bool) -> Result<ContainerInspect> {
        match id {
            "golden" => Ok(decode_value(golden("container_inspect")).unwrap()),
            id => known(id).map(|()| ContainerInspect {
                id: id.into(),
                ..Default::default()
            }),
        }
    }
    async fn start(&self, id: &str) -> Result<()> {
        self.0.started.notify_one();
        if id == "forever" {
            Err(Error::not_modified())
        } else {
            known(id)
        }
    }
    async fn stop(&self, id: &str, _: StopContainer) -> Result<()> {
        known(id)
    }
    async fn restart(&self, id: &str, _: StopContainer) -> Result<()> {
        known(id)
    }
    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        known(id)?;
        Err(Error::conflict(format!(
            "cannot kill container: {id}: container {id} is not running ({signal})"
        )))
    }
    async fn pause(&self, id: &str) -> Result<()> {
        known(id)
    }
    async fn unpause(&self, id: &str) -> Result<()> {
        known(id)
    }
    async fn rename(&self, id: &str, _: &str) -> Result<()> {
        known(id)
    }
    async fn remove(&self, id: &str, _: RemoveContainer) -> Result<()> {
        known(id)
    }
    /// Ends when the container is started: as `docker run` waits.
    async fn wait(&self, id: &str, _: WaitCondition) -> Result<BoxStream<Result<WaitResponse>>> {
        known(id)?;
        let (seen, open) = (self.0.clone(), Open::new(&self.0));
        Ok(Box::pin(stream::once(async move {
            let _open = open;
            seen.started.notified().await;
            Ok(WaitResponse {
                status_code: 3,
                error: None,
            })
        })))
    }
    async fn logs(&self, id: &str, options: Logs) -> Result<LogStream> {
        known(id)?;
        let lines = stream::iter([Ok(frame(1, b"one\n").into()), Ok(frame(2, b"two\n").into())]);
        if !options.follow {
            return Ok(LogStream {
                tty: id == "tty",
                frames: Box::pin(lines),
            });
        }
        let open = Open::new(&self.0);
        let silence = stream::pending().map(move |chunk| {
            let _ = &open;
            chunk
        });
        Ok(LogStream {
            tty: id == "tty",
            frames: Box::pin(lines.chain(silence)),
        })
    }
    async fn attach(&self, id: &str, _: Attach) -> Result<Attached> {
        known(id).map(|()| process(id))
    }
    async fn resize(&self, id: &str, _: TerminalSize) -> Result<()> {
        known(id)
    }
    async fn top(&self, id: &str, _: &str) -> Result<TopResponse> {
        known(id).map(|()| TopResponse::default())
    }
    async fn prune(&self, _: Filters) -> Result<PruneReport> {
        Ok(PruneReport::default())
    }
}

#[async_trait]
impl Execs for Fake {
    async fn create(&self, container: &str, _: ExecCreateRequest) -> Result<String> {
        known(container).map(|()| container.to_owned())
    }
    async fn start_detached(&self, _: &str, _: ExecStartRequest) -> Result<()> {
        Ok(())
    }
    async fn start(&self, id: &str, _: ExecStartRequest) -> Result<Attached> {
        if id == "forever" {
            return Err(Error::invalid(
                "OCI runtime exec failed: exec: \"nope\": executable file not found in $PATH",
            ));
        }
        Ok(process(id))
    }
    async fn resize(&self, _: &str, _: TerminalSize) -> Result<()> {
        Ok(())
    }
    async fn inspect(&self, id: &str) -> Result<ExecInspect> {
        known(id).map_err(|_| Error::not_found(format!("No such exec instance: {id}")))?;
        Ok(ExecInspect {
            id: id.into(),
            ..Default::default()
        })
    }
}

#[async_trait]
impl Images for Fake {
    async fn list(&self, _: ListImages) -> Result<Vec<ImageSummary>> {
        Ok(vec![ImageSummary {
            id: "sha256:aa".into(),
            size: 5,
            containers: 2,
            ..Default::default()
        }])
    }
    async fn inspect(&self, name: &str, _: Option<OciPlatform>, _: bool) -> Result<ImageInspect> {
        match name {
            "golden" => Ok(decode_value(golden("image_inspect_v1.51")).unwrap()),
            "reg:5000/a/b" => Ok(ImageInspect {
                id: name.into(),
                ..Default::default()
            }),
            _ => Err(Error::not_found(format!("No such image: {name}:latest"))),
        }
    }
    async fn history(&self, _: &str, _: Option<OciPlatform>) -> Result<Vec<HistoryItem>> {
        Ok(Vec::new())
    }
    async fn pull(&self, request: PullImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let name = request.name.clone();
        self.0.pulled.lock().unwrap().push(request);
        match name.as_str() {
            "refused" => Ok(Box::pin(stream::iter([Err(Error::not_found(
                "pull access denied for refused",
            ))]))),
            "broken" => Ok(Box::pin(stream::iter([
                Ok(JsonMessage::with_id("x", "Downloading")),
                Err(Error::system("unexpected EOF")),
            ]))),
            "slow" => {
                let first = stream::iter([Ok(JsonMessage::status("Pulling"))]);
                Ok(Box::pin(first.chain(stream::pending())))
            }
            "::" => Err(Error::invalid("invalid reference format")),
            _ => Ok(Box::pin(stream::iter([Ok(JsonMessage::status(
                "Status: Downloaded newer image",
            ))]))),
        }
    }
    async fn import(&self, mut request: ImportImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let mut count = 0;
        while let Some(chunk) = request.body.next().await {
            count += chunk?.len();
        }
        Ok(Box::pin(stream::iter([Ok(JsonMessage::status(format!(
            "{count} bytes"
        )))])))
    }
    async fn load(
        &self,
        mut tar: BoxStream<Result<Bytes>>,
        _: bool,
        _: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        let mut count = 0;
        while let Some(chunk) = tar.next().await {
            count += chunk?.len();
        }
        Ok(Box::pin(stream::iter([Ok(JsonMessage {
            stream: format!("{count} bytes"),
            ..Default::default()
        })])))
    }
    async fn save(&self, _: Vec<String>, _: Vec<OciPlatform>) -> Result<BoxStream<Result<Bytes>>> {
        Ok(Box::pin(stream::iter([Ok("tar".into())])))
    }
    async fn tag(&self, _: &str, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, name: &str, _: RemoveImage) -> Result<Vec<ImageDeleteItem>> {
        Ok(vec![ImageDeleteItem {
            untagged: name.into(),
            ..Default::default()
        }])
    }
    async fn prune(&self, _: Filters) -> Result<ImagePruneReport> {
        Ok(ImagePruneReport::default())
    }
}

#[async_trait]
impl Networks for Fake {
    async fn list(&self, _: Filters) -> Result<Vec<Network>> {
        Ok(Vec::new())
    }
    async fn inspect(&self, id: &str, _: bool, _: &str) -> Result<Network> {
        Err(Error::not_found(format!("network {id} not found")))
    }
    async fn create(&self, _: NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        Ok(NetworkCreateResponse::default())
    }
    async fn remove(&self, _: &str) -> Result<()> {
        Err(Error::forbidden(
            "bridge is a pre-defined network and cannot be removed",
        ))
    }
    async fn connect(&self, _: &str, _: NetworkConnectRequest) -> Result<()> {
        Ok(())
    }
    async fn disconnect(&self, _: &str, _: NetworkDisconnectRequest) -> Result<()> {
        Ok(())
    }
    async fn prune(&self, _: Filters) -> Result<NetworkPruneReport> {
        Ok(NetworkPruneReport::default())
    }
}

#[async_trait]
impl Volumes for Fake {
    async fn list(&self, _: Filters) -> Result<VolumeListResponse> {
        Ok(VolumeListResponse::default())
    }
    async fn inspect(&self, name: &str) -> Result<Volume> {
        Err(Error::not_found(format!("get {name}: no such volume")))
    }
    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume> {
        Ok(Volume {
            name: request.name,
            ..Default::default()
        })
    }
    async fn remove(&self, _: &str, _: bool) -> Result<()> {
        Ok(())
    }
    async fn prune(&self, filters: Filters) -> Result<VolumePruneReport> {
        let names = filters.get("all").map(str::to_owned).collect();
        Ok(VolumePruneReport {
            volumes_deleted: names,
            space_reclaimed: 0,
        })
    }
}

#[async_trait]
impl System for Fake {
    fn ping(&self) -> Ping {
        Ping {
            version: "0.1.0".into(),
            experimental: false,
            swarm: "active/worker".into(),
        }
    }
    async fn version(&self) -> Result<Version> {
        let mut version: Version = decode_value(golden("version")).unwrap();
        version.version = "0.1.0".into();
        version.api_version = "1.55".into();
        Ok(version)
    }
    async fn info(&self) -> Result<Info> {
        Ok(decode_value(golden("info")).unwrap())
    }
    async fn events(&self, _: Events) -> Result<BoxStream<Result<EventMessage>>> {
        let open = Open::new(&self.0);
        let one = EventMessage {
            kind: "container".into(),
            action: "start".into(),
            actor: EventActor {
                id: "abc".into(),
                attributes: [("image", "i".to_owned())].into_iter().collect(),
            },
            scope: "local".into(),
            time: 1,
            time_nano: 1_000_000_000,
            ..Default::default()
        };
        let first = stream::once(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(one)
        });
        Ok(Box::pin(first.chain(stream::pending()).map(move |event| {
            let _ = &open;
            event
        })))
    }
    async fn disk_usage(&self, what: MeasureUsage) -> Result<DiskUsage> {
        let mut usage: DiskUsage = decode_value(golden("system_df")).unwrap();
        if !what.volumes {
            usage.volumes = Default::default();
        }
        Ok(usage)
    }
    async fn auth(&self, auth: AuthConfig) -> Result<AuthResponse> {
        match auth.password.as_str() {
            "right" => Ok(AuthResponse {
                status: "Login Succeeded".into(),
                ..Default::default()
            }),
            _ => Err(Error::unauthorized(
                "unauthorized: incorrect username or password",
            )),
        }
    }
}

fn no_swarm() -> Error {
    Error::unavailable(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
    )
}

#[async_trait]
impl Swarm for Fake {
    async fn info(&self) -> swarm::Info {
        swarm::Info {
            local_node_state: "inactive".into(),
            ..Default::default()
        }
    }
    async fn init(&self, _: swarm::InitRequest) -> Result<String> {
        Ok("node-id".into())
    }
    async fn join(&self, _: swarm::JoinRequest) -> Result<()> {
        Ok(())
    }
    async fn leave(&self, _: bool) -> Result<()> {
        Err(no_swarm())
    }
    async fn inspect(&self) -> Result<swarm::Cluster> {
        Err(no_swarm())
    }
    async fn update(&self, _: UpdateSwarm, _: swarm::Spec) -> Result<()> {
        Ok(())
    }
    async fn nodes(&self, _: Filters) -> Result<Vec<swarm::Node>> {
        Ok(decode_value(golden("node_list")).unwrap())
    }
    async fn node(&self, id: &str) -> Result<swarm::Node> {
        Err(Error::not_found(format!("node {id} not found")))
    }
    async fn update_node(&self, _: &str, _: u64, _: swarm::NodeSpec) -> Result<()> {
        Ok(())
    }
    async fn remove_node(&self, _: &str, _: bool) -> Result<()> {
        Ok(())
    }
    async fn services(&self, _: Filters, _: bool) -> Result<Vec<swarm::Service>> {
        Ok(Vec::new())
    }
    async fn service(&self, id: &str, _: bool) -> Result<swarm::Service> {
        Err(Error::not_found(format!("service {id} not found")))
    }
    async fn create_service(
        &self,
        spec: swarm::ServiceSpec,
        registry_auth: String,
        _: bool,
    ) -> Result<swarm::ServiceCreateResponse> {
        // Says what arrived.
        Ok(swarm::ServiceCreateResponse {
            id: spec.annotations.name,
            warnings: vec![registry_auth, format!("{:?}", spec.mode.replicated_job.is_some())].into(),
        })
    }
    async fn update_service(
        &self,
        _: &str,
        _: UpdateService,
        _: swarm::ServiceSpec,
    ) -> Result<swarm::ServiceUpdateResponse> {
        Err(Error::system(
            "rpc error: code = Unknown desc = update out of sequence",
        ))
    }
    async fn remove_service(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn service_logs(&self, _: &str, options: Logs) -> Result<LogStream> {
        Containers::logs(self, "echo", options).await
    }
    async fn tasks(&self, _: Filters) -> Result<Vec<swarm::Task>> {
        Ok(Vec::new())
    }
    async fn task(&self, id: &str) -> Result<swarm::Task> {
        Err(Error::not_found(format!("task {id} not found")))
    }
    async fn task_logs(&self, _: &str, options: Logs) -> Result<LogStream> {
        Containers::logs(self, "echo", options).await
    }
}
