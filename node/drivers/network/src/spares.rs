//! Network namespaces made in advance: making one costs the kernel half a millisecond, which a container's start then
//! does not wait for.

use std::fs::File;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result};
use crate::netns::{Netns, make_here};

/// A few namespaces on stock, filled up by a thread of its own.
#[derive(Debug)]
pub struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stock: Mutex<Stock>,
    wanted: Condvar,
    count: usize,
}

#[derive(Debug, Default)]
struct Stock {
    ready: Vec<Netns>,
    /// The last attempt failed: no other is made before somebody asks.
    paused: bool,
    ended: bool,
}

impl Spares {
    /// Keeps `count` namespaces ready.
    pub fn start(count: usize) -> Result<Spares> {
        let shared = Arc::new(Shared {
            stock: Mutex::new(Stock::default()),
            wanted: Condvar::new(),
            count: count.min(16),
        });
        let home = File::open("/proc/thread-self/ns/net")
            .map_err(|e| Error::io("open the host's network namespace", e))?;
        let thread = std::thread::Builder::new()
            .name("netns-spares".into())
            .stack_size(128 * 1024)
            .spawn({
                let shared = shared.clone();
                move || fill(&shared, &home)
            })
            .map_err(|e| Error::io("start a thread", e))?;
        Ok(Spares {
            shared,
            thread: Some(thread),
        })
    }

    /// One from the stock, or a new one when it is empty.
    pub fn take(&self) -> Result<Netns> {
        let spare = {
            let mut stock = self.shared.stock.lock();
            stock.paused = false;
            stock.ready.pop()
        };
        self.shared.wanted.notify_one();
        spare.map_or_else(Netns::create, Ok)
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.stock.lock().ended = true;
        self.shared.wanted.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn fill(shared: &Shared, home: &File) {
    loop {
        {
            let mut stock = shared.stock.lock();
            while !stock.ended && (stock.paused || stock.ready.len() >= shared.count) {
                shared.wanted.wait(&mut stock);
            }
            if stock.ended {
                return;
            }
        }
        let made = make_here();
        // Back home, or this thread would keep a namespace alive after its container.
        let back =
            move_into_link_name_space(std::os::fd::AsFd::as_fd(home), Some(LinkNameSpaceType::Network));
        let mut stock = shared.stock.lock();
        match (made, back) {
            (Ok(netns), Ok(())) => stock.ready.push(netns),
            _ => stock.paused = true,
        }
    }
}
