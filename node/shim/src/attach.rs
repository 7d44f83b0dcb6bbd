//! Clients that are connected to a process's streams.
//!
//! A client that reads slowly holds the output back: once something waits for it, the streams that it wants are not
//! read until it has caught up. So at most one read's worth waits per client, and nothing is dropped. A client that
//! closes its socket, or that takes nothing for five minutes, is let go and holds nobody.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use shoal_node_drivers_shim::{Attach, frame};

use crate::event_loop::EventLoop;
use crate::poll::Token;
use crate::queue::{Flow, Queue};

/// How long a client may take nothing while something waits for it.
pub const STALL_MAX: Duration = Duration::from_secs(300);

pub struct Client {
    pub socket: OwnedFd,
    /// Key of its process.
    pub process: u32,
    pub wants: Attach,
    pub queue: Queue,
    /// Since when it has taken nothing.
    pub stalled: Option<Instant>,
    /// It sends nothing more.
    pub input_ended: bool,
    /// Close it once its queue is empty.
    pub closing: bool,
    /// It has gone, but input that it sent before is still waiting in its socket.
    gone: bool,
}

impl Client {
    fn wants_stream(&self, stream: u8) -> bool {
        if stream == 0 {
            self.wants.stdout
        } else {
            self.wants.stderr
        }
    }
}

impl EventLoop {
    /// Connect `socket` to process `key`. What is in `first` goes out before any output; what is in `input` came
    /// already.
    pub fn attach(&mut self, socket: OwnedFd, key: u32, wants: Attach, first: &[u8], input: &[u8]) {
        let id = self.new_key();
        let mut client = Client {
            socket,
            process: key,
            wants,
            queue: Queue::default(),
            stalled: None,
            input_ended: !wants.stdin,
            closing: false,
            gone: false,
        };
        if client.queue.send(&client.socket, &[], first) == Flow::Gone {
            return;
        }
        if self
            .poll
            .add(&client.socket, Token::Client(id), EventFlags::empty())
            .is_err()
        {
            return;
        }
        if client.wants.stdin && !input.is_empty() {
            self.input(key, input);
        }
        self.clients.insert(id, client);
        self.watch_client(id);
    }

    /// Output of process `key` goes to everybody who wants it.
    pub fn deliver(&mut self, key: u32, stream: u8, tty: bool, bytes: &[u8]) {
        let head = frame::stream_header(stream + 1, bytes.len());
        let head = if tty { &[][..] } else { &head[..] };
        let mut changed = Vec::new();
        for (&id, client) in &mut self.clients {
            if client.process != key || client.gone || client.closing || !client.wants_stream(stream) {
                continue;
            }
            match client.queue.send(&client.socket, head, bytes) {
                Flow::Empty => {}
                Flow::Full => {
                    client.stalled.get_or_insert_with(Instant::now);
                    changed.push((id, false));
                }
                Flow::Gone => changed.push((id, true)),
            }
        }
        for (id, gone) in changed {
            if gone {
                self.client_gone(id)
            } else {
                self.watch_client(id)
            }
        }
        self.hold_or_release(key);
    }

    pub fn client_event(&mut self, id: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT)
            && let Some(client) = self.clients.get_mut(&id)
        {
            let before = client.queue.len();
            let flow = client.queue.flush(&client.socket);
            if client.queue.len() < before {
                client.stalled = (flow == Flow::Full).then(Instant::now);
            }
            let key = client.process;
            match flow {
                Flow::Gone => self.client_gone(id),
                Flow::Empty if client.closing => self.drop_client(id),
                _ => self.watch_client(id),
            }
            self.hold_or_release(key);
        }
        if flags.contains(EventFlags::IN) {
            self.read_client(id);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.client_gone(id);
        }
    }

    /// Let clients go that have stalled for too long; the time until the next could be due.
    pub fn drop_stalled(&mut self) -> Option<Duration> {
        let due: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, c)| c.stalled.is_some_and(|since| since.elapsed() >= self.stall_max()))
            .map(|(&id, _)| id)
            .collect();
        for id in due {
            self.drop_client(id);
        }
        let limit = self.stall_max();
        self.clients
            .values()
            .filter_map(|c| c.stalled)
            .map(|since| limit.saturating_sub(since.elapsed()))
            .min()
    }

    fn read_client(&mut self, id: u32) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let key = client.process;
        if client.input_ended || self.processes.get(&key).is_none_or(|p| !p.pending.is_empty()) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.input_buffer);
        let read = rustix::io::read(&client.socket, &mut buffer[..]);
        match read {
            Ok(0) => self.input_ended(id),
            Ok(length) => self.input(key, &buffer[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.drop_client(id),
        }
        self.input_buffer = buffer;
        self.watch_client(id);
    }

    /// Input for process `key`. If it takes no more, its clients are not read until it does.
    fn input(&mut self, key: u32, bytes: &[u8]) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        if process.write(bytes) == Flow::Full {
            if let Some(input) = &process.input {
                let _ = self.poll.add(input, Token::Input(key), EventFlags::OUT);
            }
            self.watch_clients_of(key);
        }
    }

    /// Process `key` takes input again.
    pub fn input_ready(&mut self, key: u32) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        if let Some(input) = &process.input {
            self.poll.remove(input);
        }
        if process.flush() == Flow::Full
            && let Some(input) = &process.input
        {
            let _ = self.poll.add(input, Token::Input(key), EventFlags::OUT);
        }
        self.watch_clients_of(key);
    }

    /// A client has closed its writing side. With `input_once` the process's input ends, else the client is
    /// detached: both as Docker does it.
    fn input_ended(&mut self, id: u32) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.input_ended = true;
        let key = client.process;
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        if process.input_once && !process.tty {
            process.closing = true;
            if process.pending.is_empty() {
                process.input = None;
            }
            if client.gone {
                self.drop_client(id);
            }
        } else {
            self.close_client(id);
        }
    }

    /// The other side has closed. Input that it sent before is still read.
    fn client_gone(&mut self, id: u32) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.gone = true;
        client.queue.clear();
        client.stalled = None;
        let key = client.process;
        if client.input_ended {
            self.drop_client(id);
        } else if self.processes.get(&key).is_some_and(|p| !p.pending.is_empty()) {
            // Hang-ups are always reported: not watched until the process takes input again.
            self.poll.remove(&client.socket);
        } else {
            self.read_client(id);
        }
        self.hold_or_release(key);
    }

    /// Send what is queued, then close.
    pub fn close_client(&mut self, id: u32) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.closing = true;
        if client.queue.is_empty() {
            self.drop_client(id);
        } else {
            self.watch_client(id);
        }
    }

    pub fn close_clients_of(&mut self, key: u32) {
        let ids: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, c)| c.process == key)
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            self.close_client(id);
        }
    }

    fn drop_client(&mut self, id: u32) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        self.poll.remove(&client.socket);
        let key = client.process;
        // Whoever had the input and went without a word has closed it too.
        if !client.input_ended
            && let Some(process) = self.processes.get_mut(&key)
            && process.input_once
            && !process.tty
        {
            process.closing = true;
            if process.pending.is_empty() {
                process.input = None;
            }
        }
        self.hold_or_release(key);
    }

    /// Ask the poll for just what can be dealt with now.
    fn watch_client(&mut self, id: u32) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let room = self
            .processes
            .get(&client.process)
            .is_some_and(|p| p.pending.is_empty());
        if client.gone && !room {
            return;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !client.input_ended && room && !client.closing);
        flags.set(EventFlags::OUT, !client.queue.is_empty());
        if self.poll.set(&client.socket, Token::Client(id), flags).is_err() {
            let _ = self.poll.add(&client.socket, Token::Client(id), flags);
        }
    }

    fn watch_clients_of(&mut self, key: u32) {
        let ids: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, c)| c.process == key)
            .map(|(&id, _)| id)
            .collect();
        for id in ids {
            self.watch_client(id);
        }
    }

    /// Stop reading output that a client has no room for, or go on with it.
    fn hold_or_release(&mut self, key: u32) {
        for stream in 0..2u8 {
            let full = self
                .clients
                .values()
                .any(|c| c.process == key && c.wants_stream(stream) && !c.queue.is_empty());
            let Some(process) = self.processes.get_mut(&key) else {
                return;
            };
            let index = usize::from(stream);
            if process.held[index] == full {
                continue;
            }
            process.held[index] = full;
            if let Some(fd) = &process.output[index] {
                // Not watched at all while held: a hang-up would be reported over and over.
                if full {
                    self.poll.remove(fd);
                } else {
                    let _ = self.poll.add(fd, Token::Output(key, stream), EventFlags::IN);
                }
            }
        }
    }
}
