//! The engine as a whole: version, info, events, disk usage.

mod events;
mod info;
mod usage;

use crate::config::{Config, Live};
use crate::containers::{Containers, Kit};
use crate::error::Result;
use crate::figures::Figures;
use crate::flight::Flights;
use crate::host::Host;
use crate::images::ImagesService;
use crate::volumes::Volumes;
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_backend::{BoxStream, MeasureUsage, Ping};
use shoal_api_types::auth::{AuthConfig, AuthResponse};
use shoal_api_types::event::EventMessage;
use shoal_api_types::system::{ComponentVersion, DiskUsage, Info, Version, VersionPlatform};
use shoal_api_types::{API_VERSION, Dict, MIN_API_VERSION};
use std::sync::Arc;

pub const STORAGE_DRIVER: &str = "overlay2";
/// The engine release whose behaviour this one has; clients compare it.
pub const SERVER_VERSION: &str = "28.5.2";

/// Commit, language and time of the build, as a packager says them; clients expect them to be there.
const BUILD: (&str, &str, &str) = (
    match option_env!("SHOAL_BUILD_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
    "rust",
    match option_env!("SHOAL_BUILD_TIME") {
        Some(time) => time,
        None => "unknown",
    },
);

#[derive(Clone)]
pub struct System {
    kit: Arc<Kit>,
    config: Arc<Config>,
    engine_id: String,
    containers: Containers,
    images: ImagesService,
    volumes: Volumes,
    version: Arc<Version>,
    describing: Arc<Flights<(), Result<Info>>>,
    measuring: Arc<Flights<MeasureUsage, Result<DiskUsage>>>,
}

impl System {
    pub(crate) fn new(
        kit: Arc<Kit>,
        config: Arc<Config>,
        engine_id: String,
        containers: Containers,
        images: ImagesService,
        volumes: Volumes,
    ) -> Self {
        System {
            version: Arc::new(version(&kit.host)),
            describing: Arc::default(),
            measuring: Arc::default(),
            kit,
            config,
            engine_id,
            containers,
            images,
            volumes,
        }
    }
}

impl System {
    /// The settings that may change, as they are now.
    pub fn live(&self) -> Arc<Live> {
        self.kit.live.get()
    }

    pub fn figures(&self) -> &Figures {
        self.kit.events.figures()
    }

    pub(crate) fn set_live(&self, live: Live) {
        self.kit.live.set(live);
    }

    /// The oldest API that is served, for `version`.
    pub fn serve_from(&mut self, api_version: &str) {
        let version = Arc::make_mut(&mut self.version);
        version.min_api_version = api_version.into();
        for component in version.components.iter_mut() {
            component.details.insert("MinAPIVersion", api_version.to_owned());
        }
    }
}

#[async_trait]
impl api::System for System {
    fn ping(&self) -> Ping {
        Ping {
            version: SERVER_VERSION.into(),
            experimental: false,
            swarm: "inactive".into(),
        }
    }

    async fn version(&self) -> Result<Version> {
        Ok((*self.version).clone())
    }

    async fn info(&self) -> Result<Info> {
        let this = self.clone();
        let describe = || crate::launch::blocking(move || Ok(this.describe()));
        self.describing.join((), describe).await
    }

    async fn events(&self, options: api::Events) -> Result<BoxStream<Result<EventMessage>>> {
        events::stream(&self.kit.events, options)
    }

    async fn disk_usage(&self, what: MeasureUsage) -> Result<DiskUsage> {
        let this = self.clone();
        let measure = || async move { this.measure(what).await };
        self.measuring.join(what, measure).await
    }

    async fn auth(&self, auth: AuthConfig) -> Result<AuthResponse> {
        let identity_token = self.kit.images.login(auth).await.map_err(crate::images::error)?;
        Ok(AuthResponse {
            identity_token,
            status: "Login Succeeded".into(),
        })
    }
}

/// Nothing of it changes while the daemon runs.
fn version(host: &Host) -> Version {
    let details = [
        ("ApiVersion", API_VERSION.to_string()),
        ("MinAPIVersion", MIN_API_VERSION.to_string()),
        ("Os", "linux".into()),
        ("Arch", go_arch(&host.architecture)),
        ("KernelVersion", host.kernel_release.clone()),
        ("Shoal", env!("CARGO_PKG_VERSION").into()),
        ("GitCommit", BUILD.0.into()),
        ("GoVersion", BUILD.1.into()),
        ("BuildTime", BUILD.2.into()),
        ("Experimental", "false".into()),
    ];
    let engine = ComponentVersion {
        name: "Engine".into(),
        version: SERVER_VERSION.into(),
        details: details.into_iter().collect::<Dict<String>>(),
    };
    Version {
        platform: VersionPlatform {
            name: format!("Shoal {}", env!("CARGO_PKG_VERSION")),
        },
        components: vec![engine].into(),
        version: SERVER_VERSION.into(),
        api_version: API_VERSION.into(),
        min_api_version: MIN_API_VERSION.into(),
        os: "linux".into(),
        arch: go_arch(&host.architecture),
        kernel_version: host.kernel_release.clone(),
        git_commit: BUILD.0.into(),
        go_version: BUILD.1.into(),
        build_time: BUILD.2.into(),
        ..Version::default()
    }
}

/// Go's name for a machine.
pub fn go_arch(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .into()
}
