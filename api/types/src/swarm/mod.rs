//! Swarm mode: the cluster, its nodes, services, tasks, secrets and configs.

mod cluster;
mod common;
mod node;
mod secret;
mod service;
mod task;

pub use cluster::{
    CaConfig, Cluster, ClusterInfo, DispatcherConfig, EncryptionConfig, ExternalCa, Info, InitRequest,
    JoinRequest, JoinTokens, OrchestrationConfig, Peer, RaftConfig, Spec, TaskDefaults, UnlockKeyResponse,
    UnlockRequest,
};
pub use common::{Annotations, DiscreteResource, GenericResource, Meta, NamedResource, TlsInfo, Version};
pub use node::{
    EngineDescription, ManagerStatus, Node, NodeDescription, NodeResources, NodeSpec, NodeStatus, Platform,
    PluginDescription,
};
pub use secret::{Config, ConfigSpec, Secret, SecretSpec};
pub use service::{
    Endpoint, EndpointSpec, JobStatus, PortConfig, ReplicatedJob, ReplicatedMode, Service,
    ServiceCreateResponse, ServiceMode, ServiceSpec, ServiceStatus, ServiceUpdateResponse, UpdateConfig,
    UpdateStatus, VirtualIp,
};
pub use task::{
    AppArmorOpts, ConfigFile, ConfigReference, ContainerSpec, ContainerStatus, CredentialSpec, DnsConfig,
    Limit, NetworkAttachment, NetworkAttachmentConfig, NetworkAttachmentSpec, Placement, PlacementPreference,
    PortStatus, Privileges, ResourceRequirements, Resources, RestartPolicy, SeLinuxContext, SeccompOpts,
    SecretFile, SecretReference, SpreadOver, SwarmNetwork, Task, TaskSpec, TaskStatus, VolumeAttachment,
};
