//! Control connections: requests in, replies and notices out.

use std::os::fd::OwnedFd;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use shoal_node_drivers_shim::{Attach, Message, Notice, Reply, Request, Status, Target, frame};

use crate::event_loop::{CONTAINER, EventLoop, Gate};
use crate::poll::Token;
use crate::queue::{Flow, Queue};
use crate::start::not_started;

pub struct Control {
    socket: OwnedFd,
    /// The beginning of a request.
    received: Vec<u8>,
    queue: Queue,
    /// Wants to hear of exits.
    subscribed: bool,
}

/// A connection that leaves this much unread is closed: its owner is stuck, and will find everything by asking again.
const UNREAD_MAX: usize = 256 << 10;

impl EventLoop {
    pub fn accept(&mut self) {
        match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => self.add_control(socket, false),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            Err(e) => eprintln!("shoal-shim: accept: {e}"),
        }
    }

    /// Serve a connection (which must not block).
    pub fn add_control(&mut self, socket: OwnedFd, subscribed: bool) {
        let id = self.new_key();
        if self.poll.add(&socket, Token::Control(id), EventFlags::IN).is_ok() {
            let control = Control {
                socket,
                received: Vec::new(),
                queue: Queue::default(),
                subscribed,
            };
            self.controls.insert(id, control);
        }
    }

    pub fn control_event(&mut self, id: u32, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush_control(id);
        }
        if flags.contains(EventFlags::IN) {
            self.read_control(id);
        } else if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.drop_control(id);
        }
    }

    fn read_control(&mut self, id: u32) {
        let Some(control) = self.controls.get_mut(&id) else {
            return;
        };
        let mut buffer = std::mem::take(&mut self.input_buffer);
        let read = rustix::io::read(&control.socket, &mut buffer[..]);
        if let Ok(length) = read {
            control.received.extend_from_slice(&buffer[..length]);
        }
        self.input_buffer = buffer;
        match read {
            Ok(0) => return self.drop_control(id),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => return self.drop_control(id),
        }
        while let Some(control) = self.controls.get_mut(&id) {
            match frame::take::<Request>(&control.received) {
                Ok(Some((request, used))) => {
                    control.received.drain(..used);
                    if control.received.is_empty() {
                        control.received = Vec::new();
                    }
                    self.request(id, request);
                }
                Ok(None) => break,
                Err(error) => {
                    eprintln!("shoal-shim: {error}");
                    return self.drop_control(id);
                }
            }
        }
    }

    fn request(&mut self, id: u32, request: Request) {
        let reply = match request {
            Request::Status => {
                if let Some(control) = self.controls.get_mut(&id) {
                    control.subscribed = true;
                }
                Reply::Status(Box::new(self.status()))
            }
            Request::Start => self.start(),
            Request::Signal {
                target: Target::Container,
                signal,
            } if self.container.external.is_some() => self.signal_external(signal),
            Request::Signal { target, signal } => self.with_process(&target, |process| {
                process
                    .signal(signal)
                    .map_err(|e| format!("send signal {signal}: {e}"))
            }),
            Request::Resize {
                target,
                width,
                height,
            } => self.with_process(&target, |process| {
                process
                    .resize(width, height)
                    .map_err(|e| format!("resize the terminal: {e}"))
            }),
            Request::Attach(wants) => return self.attach_control(id, wants),
            Request::Exec(exec) => return self.exec(id, *exec),
        };
        self.reply(id, reply);
    }

    fn with_process(
        &mut self,
        target: &Target,
        act: impl FnOnce(&crate::process::Process) -> Result<(), String>,
    ) -> Reply {
        let found = match target {
            Target::Container => self.processes.get(&CONTAINER),
            Target::Exec(id) => self.processes.values().find(|p| p.exec.as_ref() == Some(id)),
        };
        match found.map(act) {
            Some(Ok(())) => Reply::Done,
            Some(Err(why)) => Reply::Refused(why),
            None => Reply::Refused("the process is not running".into()),
        }
    }

    fn status(&self) -> Status {
        let execs = self
            .processes
            .values()
            .filter_map(|p| Some((p.exec.clone()?, p.pid)))
            .collect();
        Status {
            running: self.container.running.clone(),
            gated: !matches!(self.container.gate, Gate::Open),
            execs,
            ended: self.container.ended.iter().cloned().collect(),
            log: self.log.state,
            log_told: self.log.told,
        }
    }

    fn start(&mut self) -> Reply {
        let started = match std::mem::replace(&mut self.container.gate, Gate::Open) {
            Gate::Open => return Reply::Refused("the container has already been started".into()),
            Gate::Ours(child) => child.go().and_then(|()| child.wait_exec()).map_err(not_started),
            Gate::Theirs => match &self.container.external {
                Some(external) => external.start(),
                None => Ok(()),
            },
        };
        match started {
            Ok(()) => Reply::Done,
            Err(error) => {
                // Ours is dead and reaped; another's may still stand there.
                if let Some(process) = self.processes.get(&CONTAINER)
                    && self.container.external.is_some()
                {
                    process.end();
                }
                self.container_ended(error.code);
                Reply::NotStarted(error)
            }
        }
    }

    /// Another runtime may have to pass a signal on; where it cannot, the kernel does.
    fn signal_external(&mut self, signal: i32) -> Reply {
        let Some(process) = self.processes.get(&CONTAINER) else {
            return Reply::Refused("the process is not running".into());
        };
        let told = match &self.container.external {
            Some(external) => external.kill(signal),
            None => Ok(()),
        };
        match told.or_else(|_| process.signal(signal)) {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(format!("send signal {signal}: {error}")),
        }
    }

    fn attach_control(&mut self, id: u32, wants: Attach) {
        if !self.processes.contains_key(&CONTAINER) {
            return self.reply(id, Reply::Refused("the container is not running".into()));
        }
        self.become_stream(id, CONTAINER, wants, Reply::Done);
    }

    /// From now on the connection is a stream of process `key`.
    pub fn become_stream(&mut self, id: u32, key: u32, wants: Attach, reply: Reply) {
        let Ok(first) = frame::encode(&Message::Reply(reply)) else {
            return;
        };
        if let Some(control) = self.controls.remove(&id) {
            self.poll.remove(&control.socket);
            self.attach(control.socket, key, wants, &first, &control.received);
        }
    }

    pub fn reply(&mut self, id: u32, reply: Reply) {
        self.send(id, &Message::Reply(reply));
    }

    /// Tell everybody who wants to know; false if nobody does.
    pub fn notify(&mut self, notice: &Notice) -> bool {
        let ids: Vec<u32> = self
            .controls
            .iter()
            .filter(|(_, c)| c.subscribed)
            .map(|(&id, _)| id)
            .collect();
        for &id in &ids {
            self.send(id, &Message::Notice(notice.clone()));
        }
        !ids.is_empty()
    }

    fn send(&mut self, id: u32, message: &Message) {
        let Some(control) = self.controls.get_mut(&id) else {
            return;
        };
        match frame::encode(message) {
            Ok(bytes) => control.queue.push(&bytes),
            Err(error) => eprintln!("shoal-shim: {error}"),
        }
        self.flush_control(id);
    }

    fn flush_control(&mut self, id: u32) {
        let Some(control) = self.controls.get_mut(&id) else {
            return;
        };
        let flags = match control.queue.flush(&control.socket) {
            Flow::Empty => EventFlags::IN,
            Flow::Full if control.queue.len() <= UNREAD_MAX => EventFlags::IN | EventFlags::OUT,
            Flow::Full | Flow::Gone => return self.drop_control(id),
        };
        let _ = self.poll.set(&control.socket, Token::Control(id), flags);
    }

    /// Whether some reply or notice has not been taken yet.
    pub fn controls_waiting(&self) -> bool {
        self.controls.values().any(|c| !c.queue.is_empty())
    }

    fn drop_control(&mut self, id: u32) {
        if let Some(control) = self.controls.remove(&id) {
            self.poll.remove(&control.socket);
        }
    }
}
