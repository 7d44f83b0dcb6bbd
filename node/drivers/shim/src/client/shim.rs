//! A handle on one running shim. Cheap to clone; dropping the last one leaves the shim and its container alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::UnixStream;
use tokio::sync::watch;

use super::connection::{self, Connection, End, accept};
use super::{Error, ExecHandle};
use crate::{Attach, Exec, Exit, LogState, Message, Reply, Request, Running, Status, Target, frame};

#[derive(Clone)]
pub struct Shim {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub connection: Connection,
    run_dir: PathBuf,
    running: Running,
    log_told: LogState,
}

impl Shim {
    pub(super) fn over(
        stream: UnixStream,
        run_dir: &Path,
        exit_file: &Path,
        running: Running,
        log: (LogState, LogState),
    ) -> Self {
        let (now, log_told) = log;
        let connection = Connection::over(stream, exit_file, now);
        Self {
            inner: Arc::new(Inner {
                connection,
                run_dir: run_dir.to_owned(),
                running,
                log_told,
            }),
        }
    }

    /// The container's first process, in the host's pid namespace.
    pub fn pid(&self) -> u32 {
        self.inner.running.pid
    }

    /// Open the gate of a launch with `gate`. Returns once the exec has happened; a second call is refused.
    pub async fn start(&self) -> Result<(), Error> {
        self.inner.connection.ask(&Request::Start).await.map(drop)
    }

    /// Wait for the container's end. If the shim was killed this says so (code 137 and an `error`), and the container's
    /// first process is killed too; its control group is then the caller's to empty and remove.
    pub async fn exited(&self) -> Exit {
        let mut receiver = self.inner.connection.exit();
        let end = receiver
            .wait_for(|end| *end != End::NotYet)
            .await
            .map(|end| end.clone());
        match end {
            Ok(End::Exited(exit)) => exit,
            _ => {
                // It dies with its shim, unless it has changed its user since (which unties it).
                super::adopt::kill(&self.inner.running);
                lost()
            }
        }
    }

    /// Returns when the kernel has killed something in the container for memory (at once if it already has).
    pub async fn out_of_memory(&self) {
        let mut receiver = self.inner.connection.oom();
        if receiver.wait_for(|oom| *oom).await.is_err() {
            std::future::pending().await
        }
    }

    /// How the log stands, as it changes; ends with the shim.
    pub fn log(&self) -> watch::Receiver<LogState> {
        self.inner.connection.log()
    }

    /// What of that a daemon had been told before this one.
    pub fn log_told(&self) -> LogState {
        self.inner.log_told
    }

    /// Send `signal` to the container's first process.
    pub async fn signal(&self, signal: i32) -> Result<(), Error> {
        self.ask(Request::Signal {
            target: Target::Container,
            signal,
        })
        .await
    }

    /// Change the size of the container's terminal, in characters.
    pub async fn resize(&self, width: u16, height: u16) -> Result<(), Error> {
        self.ask(Request::Resize {
            target: Target::Container,
            width,
            height,
        })
        .await
    }

    pub async fn status(&self) -> Result<Status, Error> {
        match self.inner.connection.ask(&Request::Status).await? {
            Reply::Status(status) => Ok(*status),
            other => Err(Error::Refused(format!(
                "the shim answered a status request with {other:?}"
            ))),
        }
    }

    /// Connect to the container's streams. See [`Attach`] for what travels on the returned socket.
    pub async fn attach(&self, attach: Attach) -> Result<UnixStream, Error> {
        let (stream, _) = self.open(&Request::Attach(attach)).await?;
        Ok(stream)
    }

    /// Run another process in the container.
    pub async fn exec(&self, exec: Exec) -> Result<ExecHandle, Error> {
        let id = exec.id.clone();
        let attached = exec.attach.any();
        let end = self.inner.connection.exec(&id);
        match self.open(&Request::Exec(Box::new(exec))).await {
            Ok((stream, Reply::Started(running))) => Ok(ExecHandle::new(
                self.clone(),
                id,
                running.pid,
                attached.then_some(stream),
                end,
            )),
            Ok((_, other)) => {
                self.inner.connection.forget_exec(&id);
                Err(Error::Refused(format!(
                    "the shim answered an exec with {other:?}"
                )))
            }
            Err(error) => {
                self.inner.connection.forget_exec(&id);
                Err(error)
            }
        }
    }

    /// A connection of its own whose first message is `request`.
    async fn open(&self, request: &Request) -> Result<(UnixStream, Reply), Error> {
        let run_dir = &self.inner.run_dir;
        let mut stream = connection::connect(run_dir).await.map_err(|_| Error::Gone)?;
        let bytes = frame::encode(request)?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes)
            .await
            .map_err(|_| Error::Gone)?;
        match connection::read_message(&mut stream)
            .await
            .map_err(|_| Error::Gone)?
        {
            Message::Reply(reply) => Ok((stream, accept(reply)?)),
            Message::Notice(notice) => Err(Error::Refused(format!("the shim answered with {notice:?}"))),
        }
    }

    pub(super) async fn ask(&self, request: Request) -> Result<(), Error> {
        self.inner.connection.ask(&request).await.map(drop)
    }
}

/// The exit of a process whose shim cannot be asked any more.
pub(super) fn lost() -> Exit {
    Exit {
        code: 137,
        oom_killed: false,
        finished_at: SystemTime::now(),
        error: Some("the container's shim was killed".into()),
    }
}
