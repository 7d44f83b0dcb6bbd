//! All conformance cases, one file per group; see the crate's text for how to run them on the reference engine.

mod attach;
mod authz;
mod commit;
mod compose;
mod daemon_config;
mod errors;
mod events;
mod exec;
mod fuzz;
mod http;
mod images;
mod kill_matrix;
mod knobs;
mod life;
mod logs;
mod network;
mod options;
mod recovery;
mod rootfs;
mod sdk;
mod security;
mod security_facts;
mod soak;
mod streams;
mod testcontainers;
mod volumes;
