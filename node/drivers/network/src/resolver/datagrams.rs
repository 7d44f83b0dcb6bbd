//! The datagrams of all containers, on one thread a lane: it sleeps until one comes, and answers it before it looks at the
//! next.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use rustix::event::epoll;
use shoal_node_core_host::dns::{Answer, MESSAGE_BYTES_MAX};
use tokio::runtime::Handle;

use super::{Client, forward, lanes};
use crate::error::{Error, Result};

/// Of one socket before the others have their turn.
const AT_A_TIME: usize = 64;
const EVENTS: usize = 64;

pub(super) struct Datagrams {
    /// What each lane's thread waits for.
    lanes: Vec<OwnedFd>,
    slots: RwLock<HashMap<u64, Arc<Slot>>>,
    next: AtomicU64,
    runtime: Handle,
}

struct Slot {
    /// One for each lane.
    sockets: Vec<Arc<UdpSocket>>,
    client: Arc<Client>,
}

impl Datagrams {
    pub fn start(runtime: Handle) -> Result<Arc<Datagrams>> {
        let fail = |e| Error::io("make the resolvers' waiting list", e);
        let lanes = (0..lanes::count())
            .map(|_| epoll::create(epoll::CreateFlags::CLOEXEC).map_err(fail))
            .collect::<Result<Vec<_>>>()?;
        let all = Arc::new(Datagrams {
            lanes,
            slots: RwLock::default(),
            next: AtomicU64::new(1),
            runtime,
        });
        for (lane, epoll) in all.lanes.iter().enumerate() {
            let waiting = epoll
                .try_clone()
                .map_err(|e| Error::io("make the resolvers' waiting list", e))?;
            let (weak, lanes) = (Arc::downgrade(&all), all.lanes.len());
            std::thread::Builder::new()
                .name("names".into())
                .stack_size(256 * 1024)
                .spawn(move || {
                    lanes::keep_to(lane, lanes);
                    wait(&weak, lane, &waiting);
                })
                .map_err(|e| Error::io("start a thread", e))?;
        }
        Ok(all)
    }

    /// How many sockets a container needs.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// One socket for each lane.
    pub fn add(&self, sockets: Vec<UdpSocket>, client: Arc<Client>) -> Result<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sockets: Vec<_> = sockets.into_iter().map(Arc::new).collect();
        let slot = Slot {
            sockets: sockets.clone(),
            client,
        };
        self.slots.write().insert(number, Arc::new(slot));
        for (epoll, socket) in self.lanes.iter().zip(&sockets) {
            let data = epoll::EventData::new_u64(number);
            if let Err(e) = epoll::add(epoll, &**socket, data, epoll::EventFlags::IN) {
                self.remove(number);
                return Err(Error::io("wait for a container's questions", e));
            }
        }
        Ok(number)
    }

    /// The sockets are closed, and so off the waiting lists, with their last user.
    pub fn remove(&self, number: u64) {
        if let Some(slot) = self.slots.write().remove(&number) {
            for (epoll, socket) in self.lanes.iter().zip(&slot.sockets) {
                let _ = epoll::delete(epoll, &**socket);
            }
        }
    }

    fn serve(&self, number: u64, lane: usize, buffer: &mut [u8]) {
        let Some(slot) = self.slots.read().get(&number).cloned() else {
            return;
        };
        let Some(socket) = slot.sockets.get(lane) else {
            return;
        };
        for _ in 0..AT_A_TIME {
            let Ok((length, from)) = socket.recv_from(buffer) else {
                return;
            };
            match slot.client.names.answer(&buffer[..length], false) {
                Answer::Reply(reply) => drop(socket.send_to(&reply, from)),
                Answer::Forward => self.forward(&slot.client, socket, buffer[..length].to_vec(), from),
                Answer::Nothing => {}
            }
        }
    }

    fn forward(&self, client: &Arc<Client>, socket: &Arc<UdpSocket>, message: Vec<u8>, from: SocketAddr) {
        // Who comes when everybody is busy asks again.
        let Ok(permit) = client.forwards.clone().try_acquire_owned() else {
            return;
        };
        let (socket, client) = (socket.clone(), client.clone());
        self.runtime.spawn(async move {
            let reply = forward::ask(&client, &message, false).await;
            let _ = socket.send_to(&reply, from);
            drop(permit);
        });
    }
}

/// Until nobody is left to answer for, which is looked up now and then.
fn wait(all: &Weak<Datagrams>, lane: usize, waiting: &OwnedFd) {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let mut events = Vec::with_capacity(EVENTS);
    let limit = rustix::event::Timespec {
        tv_sec: 5,
        tv_nsec: 0,
    };
    loop {
        events.clear();
        let _ = epoll::wait(waiting, rustix::buffer::spare_capacity(&mut events), Some(&limit));
        let Some(all) = all.upgrade() else { return };
        for event in &events {
            all.serve(event.data.u64(), lane, &mut buffer);
        }
    }
}
