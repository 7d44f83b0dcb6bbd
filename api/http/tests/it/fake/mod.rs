//! Backends that answer from memory. Containers: `echo` gives back its stdin when that ends, `cat` at once, `tty` as `echo`
//! with a terminal, `forever` never ends; anything else is unknown.

mod cluster;
mod containers;
mod images;
mod node;

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
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use images::WANTED_FROM;

/// What was asked of the fakes, for tests to look at.
#[derive(Default)]
pub struct Seen {
    pub created: Mutex<Vec<CreateContainer>>,
    pub open_streams: AtomicUsize,
    pub started: tokio::sync::Notify,
    pub pulled: Mutex<Vec<PullImage>>,
    pub uploaded: Mutex<Vec<u8>>,
    pub listed: OnceLock<Vec<Arc<Listed>>>,
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
