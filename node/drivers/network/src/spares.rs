//! Network namespaces made in advance: making one costs the kernel half a millisecond, which a container's start then
//! does not wait for. Their loopback is up already. Both need a lock that the whole kernel has one of, and holds for tens of
//! milliseconds while it takes an interface away; a container without a network would wait for others' interfaces.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::links::Links;
use crate::netns::Netns;

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
        let thread = std::thread::Builder::new()
            .name("netns-spares".into())
            .stack_size(128 * 1024)
            .spawn({
                let shared = shared.clone();
                move || fill(&shared)
            })
            .map_err(|e| Error::io("start a thread", e))?;
        Ok(Spares {
            shared,
            thread: Some(thread),
        })
    }

    /// One from the stock, or a new one when it is empty. Nothing is in it but its loopback, which is up.
    pub fn take(&self) -> Result<Netns> {
        let spare = {
            let mut stock = self.shared.stock.lock();
            stock.paused = false;
            stock.ready.pop()
        };
        self.shared.wanted.notify_one();
        spare.map_or_else(make, Ok)
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

fn fill(shared: &Shared) {
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
        let made = make();
        let mut stock = shared.stock.lock();
        match made {
            Ok(netns) => stock.ready.push(netns),
            Err(_) => stock.paused = true,
        }
    }
}

fn make() -> Result<Netns> {
    let netns = Netns::create()?;
    Links::loopback_up(&netns)?;
    Ok(netns)
}
