//! A handle on one exec.

use tokio::net::UnixStream;
use tokio::sync::watch;

use super::Error;
use super::connection::End;
use super::shim::{Shim, lost};
use crate::{Exit, Request, Target};

pub struct ExecHandle {
    /// In the host's pid namespace.
    pub pid: u32,
    /// The process's streams, if any were asked for; take it out to use it.
    pub stream: Option<UnixStream>,
    id: String,
    shim: Shim,
    end: watch::Receiver<End>,
}

impl ExecHandle {
    pub(super) fn new(
        shim: Shim,
        id: String,
        pid: u32,
        stream: Option<UnixStream>,
        end: watch::Receiver<End>,
    ) -> Self {
        Self {
            pid,
            stream,
            id,
            shim,
            end,
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Wait for the process's end.
    pub async fn exited(&self) -> Exit {
        let mut receiver = self.end.clone();
        let end = receiver
            .wait_for(|end| *end != End::NotYet)
            .await
            .map(|end| end.clone());
        match end {
            Ok(End::Exited(exit)) => exit,
            _ => lost(),
        }
    }

    /// Ask the shim whether the process still runs. Once it says no, [`Self::exited`] returns without a wait.
    pub async fn runs(&self) -> bool {
        if *self.end.borrow() != End::NotYet {
            return false;
        }
        // The notice of an end comes on the same connection, before the answer. A shim that is gone has lost it.
        let status = self.shim.status().await;
        status.is_ok_and(|status| status.execs.iter().any(|(id, _)| *id == self.id))
    }

    pub async fn signal(&self, signal: i32) -> Result<(), Error> {
        self.shim
            .ask(Request::Signal {
                target: Target::Exec(self.id.clone()),
                signal,
            })
            .await
    }

    pub async fn resize(&self, width: u16, height: u16) -> Result<(), Error> {
        self.shim
            .ask(Request::Resize {
                target: Target::Exec(self.id.clone()),
                width,
                height,
            })
            .await
    }
}

impl Drop for ExecHandle {
    fn drop(&mut self) {
        self.shim.inner.connection.forget_exec(&self.id);
    }
}
