//! Containers and their execs.

use super::*;

#[async_trait]
impl Containers for Fake {
    async fn create(&self, request: CreateContainer) -> Result<CreateResponse> {
        self.0.created.lock().unwrap().push(request);
        Ok(CreateResponse {
            id: "c".repeat(64),
            warnings: Vec::new(),
        })
    }
    async fn list(&self, _: ListContainers) -> Result<Vec<Arc<Listed>>> {
        let listed = self.0.listed.get_or_init(|| {
            let mut list: Vec<ContainerSummary> = decode_value(golden("container_list")).unwrap();
            for one in &mut list {
                one.host_config.annotations.insert("a", "<b>".to_string());
                one.health = Some(HealthSummary::default());
            }
            list.into_iter().map(Listed::new).map(Arc::new).collect()
        });
        Ok(listed.clone())
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
