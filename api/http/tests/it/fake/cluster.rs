//! A node in no swarm.

use super::*;

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
