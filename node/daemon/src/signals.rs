//! The daemon's signals, as supervisors of dockerd use them.
//!
//! SIGINT and SIGTERM end it; a third SIGINT ends it hard. SIGHUP reloads the configuration. SIGUSR1 and SIGQUIT write
//! what the daemon is doing to its log and go on.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
    usr1: Signal,
    quit: Signal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    End,
    Reload,
    Report,
}

impl Signals {
    pub fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.int.recv() => Wish::End,
            _ = self.term.recv() => Wish::End,
            _ = self.hup.recv() => Wish::Reload,
            _ = self.usr1.recv() => Wish::Report,
            _ = self.quit.recv() => Wish::Report,
        }
    }

    /// While the daemon ends: two further SIGINTs mean that nobody wants to wait.
    pub async fn impatient(mut self, done: CancellationToken) {
        for _ in 0..2 {
            tokio::select! {
                _ = self.int.recv() => tracing::warn!("another interrupt; one more ends the daemon at once"),
                () = done.cancelled() => return,
            }
        }
        tracing::error!("forced to end without an orderly shutdown");
        std::process::exit(1);
    }
}
