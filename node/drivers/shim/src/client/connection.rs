//! One control connection, owned by one task: requests go out in order, replies are handed back in the same order,
//! notices are published.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use crate::{Exit, LogState, Message, Notice, Reply, Request, SOCKET_NAME, frame};

/// How a watched process stands: nothing yet, ended, or never to be known because the shim died.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum End {
    #[default]
    NotYet,
    Exited(Exit),
    Lost,
}

/// Requests that wait to be written; more callers than this wait in turn.
const REQUESTS_MAX: usize = 16;

pub struct Connection {
    requests: mpsc::Sender<(Vec<u8>, oneshot::Sender<Reply>)>,
    shared: Arc<Shared>,
}

struct Shared {
    exit: watch::Sender<End>,
    oom: watch::Sender<bool>,
    log: watch::Sender<LogState>,
    execs: Mutex<Execs>,
}

#[derive(Default)]
struct Execs {
    watched: HashMap<String, watch::Sender<End>>,
    closed: bool,
}

impl Connection {
    pub fn over(stream: UnixStream, exit_file: &Path, log: LogState) -> Self {
        let shared = Arc::new(Shared {
            exit: watch::Sender::new(End::NotYet),
            oom: watch::Sender::new(false),
            log: watch::Sender::new(log),
            execs: Mutex::default(),
        });
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(serve(stream, receiver, shared.clone(), exit_file.to_owned()));
        Self { requests, shared }
    }

    pub async fn ask(&self, request: &Request) -> Result<Reply, Error> {
        let (sender, receiver) = oneshot::channel();
        let frame = frame::encode(request)?;
        self.requests
            .send((frame, sender))
            .await
            .map_err(|_| Error::Gone)?;
        accept(receiver.await.map_err(|_| Error::Gone)?)
    }

    pub fn exit(&self) -> watch::Receiver<End> {
        self.shared.exit.subscribe()
    }

    pub fn oom(&self) -> watch::Receiver<bool> {
        self.shared.oom.subscribe()
    }

    pub fn log(&self) -> watch::Receiver<LogState> {
        self.shared.log.subscribe()
    }

    /// Watch for the end of exec `id`; ask before it can end.
    pub fn exec(&self, id: &str) -> watch::Receiver<End> {
        let mut execs = lock(&self.shared.execs);
        if execs.closed {
            return watch::Sender::new(End::Lost).subscribe();
        }
        execs.watched.entry(id.to_owned()).or_default().subscribe()
    }

    /// Nobody asks for exec `id` any more.
    pub fn forget_exec(&self, id: &str) {
        lock(&self.shared.execs).watched.remove(id);
    }
}

impl Shared {
    fn exec_ended(&self, id: &str, exit: Exit) {
        if let Some(sender) = lock(&self.execs).watched.get(id) {
            sender.send_replace(End::Exited(exit));
        }
    }
}

/// A refusal is an error; everything else is the answer.
pub fn accept(reply: Reply) -> Result<Reply, Error> {
    match reply {
        Reply::Refused(why) => Err(Error::Refused(why)),
        Reply::NotStarted(error) => Err(Error::NotStarted(error)),
        reply => Ok(reply),
    }
}

/// Connect to the socket in `run_dir`, however long that path is.
pub async fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    let dir = rustix::fs::open(
        run_dir,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_NAME}", dir.as_raw_fd())).await
}

/// One message from a connection on which nothing else is read.
pub async fn read_message(stream: &mut UnixStream) -> io::Result<Message> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = frame::length(head).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    frame::decode(&body).map_err(io::Error::other)
}

async fn serve(
    mut stream: UnixStream,
    mut requests: mpsc::Receiver<(Vec<u8>, oneshot::Sender<Reply>)>,
    shared: Arc<Shared>,
    exit_file: PathBuf,
) {
    let mut waiting = VecDeque::new();
    let mut buffer = Vec::new();
    let mut handle_dropped = false;
    loop {
        tokio::select! {
            request = requests.recv(), if !handle_dropped => match request {
                Some((frame, sender)) => {
                    waiting.push_back(sender);
                    if stream.write_all(&frame).await.is_err() {
                        break;
                    }
                }
                // The engine let go of the shim; only somebody who already watches still wants the end.
                None if shared.exit.receiver_count() == 0 => return,
                None => handle_dropped = true,
            },
            read = stream.read_buf(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if !take_all(&mut buffer, &mut waiting, &shared) {
                        break;
                    }
                }
            },
        }
    }
    drop(waiting);
    if *shared.exit.borrow() == End::NotYet {
        // The exit file is written before the connection closes; without one the shim was killed.
        let end = match crate::read_exit(&exit_file) {
            Ok(Some(exit)) => End::Exited(exit),
            Ok(None) => End::Lost,
            Err(error) => {
                tracing::warn!(path = %exit_file.display(), %error, "cannot read an exit file");
                End::Lost
            }
        };
        shared.exit.send_replace(end);
    }
    let mut execs = lock(&shared.execs);
    execs.closed = true;
    for sender in execs.watched.values() {
        sender.send_if_modified(|end| {
            let open = *end == End::NotYet;
            if open {
                *end = End::Lost;
            }
            open
        });
    }
}

/// Hand out every whole message in `buffer`; false if what came makes no sense.
fn take_all(buffer: &mut Vec<u8>, waiting: &mut VecDeque<oneshot::Sender<Reply>>, shared: &Shared) -> bool {
    loop {
        match frame::take::<Message>(buffer) {
            Ok(Some((message, used))) => {
                buffer.drain(..used);
                match message {
                    Message::Reply(reply) => {
                        if let Some(sender) = waiting.pop_front() {
                            let _ = sender.send(reply);
                        }
                    }
                    Message::Notice(Notice::Exited(exit)) => {
                        shared.exit.send_replace(End::Exited(exit));
                    }
                    Message::Notice(Notice::OutOfMemory) => {
                        shared.oom.send_replace(true);
                    }
                    Message::Notice(Notice::Log(state)) => {
                        shared.log.send_replace(state);
                    }
                    Message::Notice(Notice::ExecExited { id, exit }) => shared.exec_ended(&id, exit),
                }
            }
            Ok(None) => {
                if buffer.is_empty() && buffer.capacity() > 4096 {
                    *buffer = Vec::new();
                }
                return true;
            }
            Err(error) => {
                tracing::warn!(%error, "a shim sent something that is no message");
                return false;
            }
        }
    }
}

/// What a thread does while it holds one of these locks cannot panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
