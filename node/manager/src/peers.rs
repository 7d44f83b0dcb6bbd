//! Channels to the other managers, one for each address, made anew when this node's certificate was renewed.

use parking_lot::Mutex;
use shoal_api_wire::channel;
use shoal_node_drivers_certs::Credentials;
use std::collections::HashMap;
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;

#[derive(Clone)]
pub(crate) struct Peers {
    credentials: Credentials,
    /// The serial of the certificate that the channels were made with, and the channels by address.
    channels: Arc<Mutex<(String, HashMap<String, Channel>)>>,
}

impl Peers {
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            channels: Arc::default(),
        }
    }

    pub fn channel(&self, addr: &str) -> Result<Channel, Status> {
        let serial = self.credentials.identity().serial;
        let mut channels = self.channels.lock();
        if channels.0 != serial {
            *channels = (serial, HashMap::new());
        }
        if let Some(channel) = channels.1.get(addr) {
            return Ok(channel.clone());
        }
        let channel = self.fresh(addr)?;
        channels.1.insert(addr.to_owned(), channel.clone());
        Ok(channel)
    }

    /// A channel of its own, for a single conversation.
    pub fn fresh(&self, addr: &str) -> Result<Channel, Status> {
        let credentials = self.credentials.clone();
        channel::lazy(addr, move |addr| {
            let credentials = credentials.clone();
            async move { credentials.connect(&addr).await }
        })
        .map_err(|e| Status::unavailable(format!("manager {addr}: {e}")))
    }

    /// Forgets a channel that did not work, so that the next call does not wait for its back-off.
    pub fn forget(&self, addr: &str) {
        self.channels.lock().1.remove(addr);
    }
}
