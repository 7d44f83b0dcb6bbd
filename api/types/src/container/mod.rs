//! Containers: what is asked for, what is, and what the verbs answer.

mod answers;
mod config;
mod host_config;
mod inspect;
mod stats;
mod summary;

pub use answers::{
    ChangeKind, FilesystemChange, PathStat, PruneReport, TopResponse, UpdateConfig, UpdateResponse,
    WaitExitError, WaitResponse,
};
pub use config::{Config, CreateRequest, CreateResponse, HealthConfig, NetworkingConfig};
pub use host_config::{
    DeviceMapping, DeviceRequest, HostConfig, LogConfig, PortBinding, PortMap, Resources, RestartPolicy,
    ThrottleDevice, Ulimit, WeightDevice,
};
pub use inspect::{
    Address, ContainerInspect, DefaultNetworkSettings, DriverData, Health, HealthcheckResult,
    NetworkSettings, State, Storage,
};
pub use stats::*;
pub use summary::{ContainerSummary, HealthSummary, Port, SummaryHostConfig, SummaryNetworkSettings};
