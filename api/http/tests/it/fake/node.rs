//! Networks, volumes and the system.

use super::*;

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
