//! The datagrams of all containers, on one thread: it sleeps until one comes, and answers it before it looks at the next.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustix::event::epoll;
use shoal_node_core_host::dns::{Answer, MESSAGE_BYTES_MAX};
use tokio::runtime::Handle;

use super::{Client, forward};
use crate::error::{Error, Result};

/// Of one socket before the others have their turn.
const AT_A_TIME: usize = 64;
const EVENTS: usize = 64;

pub(super) struct Datagrams {
    epoll: OwnedFd,
    slots: RwLock<HashMap<u64, Arc<Slot>>>,
    next: AtomicU64,
    runtime: Handle,
}

struct Slot {
    socket: Arc<UdpSocket>,
    client: Arc<Client>,
}

impl Datagrams {
    pub fn start(runtime: Handle) -> Result<Arc<Datagrams>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|e| Error::io("make the resolvers' waiting list", e))?;
        let all = Arc::new(Datagrams {
            epoll,
            slots: RwLock::default(),
            next: AtomicU64::new(1),
            runtime,
        });
        let weak = Arc::downgrade(&all);
        let waiting = all
            .epoll
            .try_clone()
            .map_err(|e| Error::io("make the resolvers' waiting list", e))?;
        std::thread::Builder::new()
            .name("names".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                let mut buffer = vec![0; MESSAGE_BYTES_MAX];
                let mut events = Vec::with_capacity(EVENTS);
                loop {
                    events.clear();
                    // Looks up now and then whether there is anybody left to answer.
                    let limit = rustix::event::Timespec {
                        tv_sec: 5,
                        tv_nsec: 0,
                    };
                    let _ = epoll::wait(
                        &waiting,
                        rustix::buffer::spare_capacity(&mut events),
                        Some(&limit),
                    );
                    let Some(all) = weak.upgrade() else { return };
                    for event in &events {
                        all.serve(event.data.u64(), &mut buffer);
                    }
                }
            })
            .map_err(|e| Error::io("start a thread", e))?;
        Ok(all)
    }

    pub fn add(&self, socket: UdpSocket, client: Arc<Client>) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let socket = Arc::new(socket);
        let slot = Slot {
            socket: socket.clone(),
            client,
        };
        self.slots.write().insert(number, Arc::new(slot));
        let data = epoll::EventData::new_u64(number);
        if let Err(e) = epoll::add(&self.epoll, &*socket, data, epoll::EventFlags::IN) {
            self.remove(number);
            return Err(Error::io("wait for a container's questions", e));
        }
        Ok(number)
    }

    /// The socket is closed, and so off the waiting list, with its last user.
    pub fn remove(&self, number: u64) {
        if let Some(slot) = self.slots.write().remove(&number) {
            let _ = epoll::delete(&self.epoll, &*slot.socket);
        }
    }

    fn serve(&self, number: u64, buffer: &mut [u8]) {
        let Some(slot) = self.slots.read().get(&number).cloned() else {
            return;
        };
        for _ in 0..AT_A_TIME {
            let Ok((length, from)) = slot.socket.recv_from(buffer) else {
                return;
            };
            match slot.client.names.answer(&buffer[..length], false) {
                Answer::Reply(reply) => drop(slot.socket.send_to(&reply, from)),
                Answer::Forward => self.forward(&slot, buffer[..length].to_vec(), from),
                Answer::Nothing => {}
            }
        }
    }

    fn forward(&self, slot: &Slot, message: Vec<u8>, from: SocketAddr) {
        // Who comes when everybody is busy asks again.
        let Ok(permit) = slot.client.forwards.clone().try_acquire_owned() else {
            return;
        };
        let (socket, client) = (slot.socket.clone(), slot.client.clone());
        self.runtime.spawn(async move {
            let reply = forward::ask(&client, &message, false).await;
            let _ = socket.send_to(&reply, from);
            drop(permit);
        });
    }
}
