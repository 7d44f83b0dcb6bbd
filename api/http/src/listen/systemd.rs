//! Sockets that systemd opened for us (`LISTEN_FDS`).

use super::{BindError, Listener, TlsFiles, tls};
use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::AsFd;
use tokio::net::{TcpListener, UnixListener};

pub(super) fn take(files: Option<&TlsFiles>) -> Result<Vec<Listener>, BindError> {
    let mut passed = ListenFd::from_env();
    let config = files.map(tls::server_config).transpose()?;
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let failed = |reason| BindError::Systemd { index, reason };
        if let Ok(Some(socket)) = passed.take_unix_listener(index) {
            ready(&socket, |on| socket.set_nonblocking(on)).map_err(failed)?;
            listeners.push(Listener::Unix {
                listener: UnixListener::from_std(socket).map_err(failed)?,
                path: None,
            });
        } else if let Some(socket) = passed.take_tcp_listener(index).map_err(failed)? {
            ready(&socket, |on| socket.set_nonblocking(on)).map_err(failed)?;
            let socket = TcpListener::from_std(socket).map_err(failed)?;
            listeners.push(match &config {
                Some(config) => Listener::Tls(socket, config.clone()),
                None => Listener::Tcp(socket),
            });
        }
    }
    if listeners.is_empty() {
        return Err(BindError::NoSystemdSockets);
    }
    Ok(listeners)
}

/// Not for our children, and never blocking.
fn ready(socket: &impl AsFd, set_nonblocking: impl Fn(bool) -> std::io::Result<()>) -> std::io::Result<()> {
    fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    set_nonblocking(true)
}
