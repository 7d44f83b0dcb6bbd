//! What the shim keeps, and the loop that hands every event to whom it concerns.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use shoal_node_drivers_cgroup::{Cgroup, OomWatch};
use shoal_node_drivers_runtime::Child;
use shoal_node_drivers_runtime::seccomp::Program;
use shoal_node_drivers_shim::{Exit, LogState, Notice, Running};

use crate::attach::{Client, STALL_MAX};
use crate::control::Control;
use crate::external::External;
use crate::log::Log;
use crate::poll::{Poll, Token};
use crate::process::Process;

/// The key of the container's first process.
pub const CONTAINER: u32 = 0;
/// One read of output or input; also bounds what can wait for a slow client.
const READ_MAX: usize = 32 << 10;
/// The same for a container that prints much, and the size its pipes get then.
const READ_BUSY_MAX: usize = 256 << 10;
/// So many reads in a row that fill the buffer make it busy.
const FULL_READS: u32 = 4;
/// After this long without an event the memory that only a busy container needs is given back.
const IDLE: Duration = Duration::from_millis(500);
/// Ended execs that a daemon may still ask for.
pub const ENDED_MAX: usize = 64;
/// After the container's end, clients get this long to take what is queued for them.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// The container as the kernel has it.
pub struct Container {
    pub run_dir: PathBuf,
    pub exit_file: PathBuf,
    pub running: Running,
    pub gate: Gate,
    /// The runtime that has made it, where that is not ours.
    pub external: Option<External>,
    /// Its root and its mount namespace, kept open to the shim's own end: the last to let go of a mount namespace waits
    /// for an RCU grace period, of an overlay until the file system below is synced, and that must not be the process
    /// whose exit somebody waits for.
    pub kept: Vec<OwnedFd>,
    pub cgroup: Option<Cgroup>,
    pub oom: Option<OomWatch>,
    /// Kills for memory that have been told of.
    pub oom_kills: u64,
    pub seccomp: Option<Program>,
    /// Its pid namespace is its own: its end is the end of all its processes.
    pub own_pids: bool,
    pub ended: VecDeque<(String, Exit)>,
}

/// What holds the first process before its exec.
pub enum Gate {
    Ours(Child),
    Theirs,
    Open,
}

pub struct EventLoop {
    pub poll: Poll,
    pub listener: OwnedFd,
    pub controls: BTreeMap<u32, Control>,
    pub clients: BTreeMap<u32, Client>,
    pub processes: BTreeMap<u32, Process>,
    pub container: Container,
    pub log: Log,
    /// Tells of children that have ended, where some are not made here.
    pub children: Option<OwnedFd>,
    /// For one read each; output may be on its way to clients while one of them is read.
    output_buffer: Vec<u8>,
    pub input_buffer: Vec<u8>,
    /// Since when the container is over.
    pub over: Option<Instant>,
    last_key: u32,
    full_reads: u32,
}

impl EventLoop {
    pub fn new(poll: Poll, listener: OwnedFd, container: Container, log: Log) -> Self {
        Self {
            poll,
            listener,
            controls: BTreeMap::new(),
            clients: BTreeMap::new(),
            processes: BTreeMap::new(),
            container,
            log,
            children: None,
            output_buffer: vec![0; READ_MAX],
            input_buffer: vec![0; READ_MAX],
            over: None,
            last_key: CONTAINER,
            full_reads: 0,
        }
    }

    pub fn new_key(&mut self) -> u32 {
        self.last_key += 1;
        self.last_key
    }

    /// Until the container is over and everybody has heard of it.
    pub fn run(&mut self) -> rustix::io::Result<()> {
        self.poll.add(&self.listener, Token::Listener, EventFlags::IN)?;
        if let Some(oom) = &self.container.oom {
            self.poll.add(oom, Token::OutOfMemory, EventFlags::IN)?;
        }
        if let Some(children) = &self.children {
            self.poll.add(children, Token::Children, EventFlags::IN)?;
        }
        loop {
            let mut limit = self.drop_stalled();
            if let Some(since) = self.over {
                let left = LINGER_MAX.saturating_sub(since.elapsed());
                if left.is_zero() || (self.clients.is_empty() && !self.controls_waiting()) {
                    return Ok(());
                }
                limit = Some(limit.map_or(left, |limit| limit.min(left)));
            }
            if let Some(state) = self.log.news(false) {
                self.tell_log(state);
            }
            if let Some(due) = self.log.due() {
                limit = Some(limit.map_or(due, |limit| limit.min(due)));
            }
            let busy = self.output_buffer.len() > READ_MAX;
            if busy {
                limit = Some(limit.map_or(IDLE, |limit| limit.min(IDLE)));
            }
            let events = self.poll.wait(limit)?;
            if busy && events.is_empty() {
                self.relax();
            }
            for (token, flags) in events {
                match token {
                    Token::Listener => self.accept(),
                    Token::OutOfMemory => self.out_of_memory(),
                    Token::Control(id) => self.control_event(id, flags),
                    Token::Client(id) => self.client_event(id, flags),
                    Token::End(key) => self.ended(key),
                    Token::Output(key, stream) => {
                        self.read_output(key, stream);
                    }
                    Token::Input(key) => self.input_ready(key),
                    Token::Children => self.reap_orphans(),
                }
            }
        }
    }

    /// Watch a new process. Its clients are connected already, so they get its first output.
    pub fn watch_process(&mut self, key: u32) {
        let Some(process) = self.processes.get(&key) else {
            return;
        };
        let watched = self.poll.add(&process.pidfd, Token::End(key), EventFlags::IN);
        if let Err(error) = watched {
            eprintln!("shoal-shim: watch process {}: {error}", process.pid);
        }
        for stream in 0..2u8 {
            if let Some(fd) = &process.output[usize::from(stream)]
                && !process.held[usize::from(stream)]
            {
                let _ = self.poll.add(fd, Token::Output(key, stream), EventFlags::IN);
            }
        }
    }

    /// One read of output, written to the log and to clients. False when there is nothing more for now.
    pub fn read_output(&mut self, key: u32, stream: u8) -> bool {
        let Some(process) = self.processes.get_mut(&key) else {
            return false;
        };
        let (tty, is_container) = (process.tty, process.exec.is_none());
        let slot = &mut process.output[usize::from(stream)];
        let Some(fd) = slot else { return false };
        let mut buffer = std::mem::take(&mut self.output_buffer);
        let mut grown = false;
        let more = match rustix::io::read(&*fd, &mut buffer[..]) {
            Ok(length) if length > 0 => {
                self.full_reads = if length >= READ_MAX {
                    self.full_reads + 1
                } else {
                    0
                };
                if self.full_reads >= FULL_READS && !tty && length < READ_BUSY_MAX {
                    // Fewer, larger reads and writes. The pipe's size is a wish: there is a limit per user.
                    let _ = rustix::pipe::fcntl_setpipe_size(&*fd, READ_BUSY_MAX);
                    self.full_reads = 0;
                    grown = buffer.len() < READ_BUSY_MAX;
                }
                if is_container {
                    self.log.write(stream, &buffer[..length]);
                }
                self.deliver(key, stream, tty, &buffer[..length]);
                true
            }
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            // The end; a terminal says EIO when nobody has it open any more.
            Ok(_) | Err(_) => {
                self.poll.remove(&*fd);
                *slot = None;
                false
            }
        };
        if grown {
            buffer = vec![0; READ_BUSY_MAX];
        }
        self.output_buffer = buffer;
        more
    }

    /// Told only if somebody listens; else it is kept for whoever comes.
    pub fn tell_log(&mut self, state: LogState) {
        if self.notify(&Notice::Log(state)) {
            self.log.told = state;
        }
    }

    /// Back to the size of an idle shim.
    fn relax(&mut self) {
        self.output_buffer = vec![0; READ_MAX];
        self.log.relax();
        // SAFETY: takes a number.
        unsafe { libc::malloc_trim(0) };
    }

    fn out_of_memory(&mut self) {
        let Some(oom) = &self.container.oom else { return };
        oom.drain();
        let kills = self
            .container
            .cgroup
            .as_ref()
            .map_or(0, |group| group.oom_kills().unwrap_or(0));
        if kills > self.container.oom_kills {
            self.container.oom_kills = kills;
            self.notify(&Notice::OutOfMemory);
        }
    }

    /// How long clients may take nothing: less once the container is over.
    pub fn stall_max(&self) -> Duration {
        if self.over.is_some() {
            LINGER_MAX
        } else {
            STALL_MAX
        }
    }
}
