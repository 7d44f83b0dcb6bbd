//! Finding a container again after the daemon was away.

use std::io;
use std::path::Path;

use tokio::io::AsyncWriteExt;

use super::{Error, ExecHandle, Shim, connection};
use crate::{Exit, Message, Reply, Request, Running, STATE_NAME, frame, read_exit};

/// What is left of a container's last run.
pub enum Found {
    /// It runs on. The execs that run are given back too, without streams.
    Running {
        shim: Shim,
        running: Running,
        gated: bool,
        execs: Vec<ExecHandle>,
    },
    /// It ended while nobody looked.
    Exited(Exit),
    /// Its shim was killed, so nobody knows how it ended. Its first process has been killed (it dies with its shim);
    /// its control group may still have to be emptied and removed.
    Lost(Option<Running>),
    /// It was never started, or somebody has cleared it away.
    Nothing,
}

impl Shim {
    /// Look at `run_dir` and `exit_file` (as they were given in the launch) and take over what is there.
    pub async fn adopt(run_dir: &Path, exit_file: &Path) -> Result<Found, Error> {
        let mut stream = match connection::connect(run_dir).await {
            Ok(stream) => stream,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return ended(run_dir, exit_file);
            }
            Err(e) => return Err(Error::io("connect to the shim in", run_dir)(e)),
        };
        let request = frame::encode(&Request::Status)?;
        let answer = async {
            stream.write_all(&request).await?;
            connection::read_message(&mut stream).await
        };
        let status = match answer.await {
            Ok(Message::Reply(Reply::Status(status))) => *status,
            Ok(Message::Notice(crate::Notice::Exited(exit))) => return Ok(Found::Exited(exit)),
            Ok(other) => {
                return Err(Error::Refused(format!(
                    "a shim answered a status request with {other:?}"
                )));
            }
            // It ended while we asked.
            Err(_) => return ended(run_dir, exit_file),
        };
        let shim = Shim::over(
            stream,
            run_dir,
            exit_file,
            status.running.clone(),
            (status.log, status.log_told),
        );
        let execs = status
            .execs
            .into_iter()
            .map(|(id, pid)| {
                let end = shim.inner.connection.exec(&id);
                ExecHandle::new(shim.clone(), id, pid, None, end)
            })
            .collect();
        Ok(Found::Running {
            shim,
            running: status.running,
            gated: status.gated,
            execs,
        })
    }
}

fn ended(run_dir: &Path, exit_file: &Path) -> Result<Found, Error> {
    if let Some(exit) = read_exit(exit_file).map_err(Error::io("read", exit_file))? {
        return Ok(Found::Exited(exit));
    }
    let path = run_dir.join(STATE_NAME);
    match std::fs::read(&path) {
        Ok(text) => {
            let running: Option<Running> = serde_json::from_slice(&text).ok();
            if let Some(running) = &running {
                kill(running);
            }
            Ok(Found::Lost(running))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// Kill exactly the process that was meant: the descriptor is opened first, the start time is compared after.
pub(super) fn kill(running: &Running) {
    let Some(pid) = i32::try_from(running.pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return;
    };
    let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else {
        return;
    };
    if crate::start_ticks(running.pid) == Some(running.start_ticks) {
        let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
    }
}
