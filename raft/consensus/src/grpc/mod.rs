//! Managers talk gRPC over streams that the caller lends.

mod client;
mod server;

pub(crate) use client::Peers;
pub use server::Service;

/// What the caller mounts on its listener.
pub mod service {
    pub use super::server::Service;
    use shoal_api_wire::channel::MESSAGE_BYTES_MAX;
    use shoal_api_wire::raft::raft_server::RaftServer;

    /// The tonic service, with our bounds on messages. Who may call it is the caller's to check, before it gets here.
    pub fn server(service: Service) -> RaftServer<Service> {
        RaftServer::new(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}
