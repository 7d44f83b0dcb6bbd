//! Tells systemd how far the daemon is (`Type=notify`). Without `NOTIFY_SOCKET` nobody wants to know.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

pub const READY: &str = "READY=1";
pub const RELOADING: &str = "RELOADING=1";
pub const STOPPING: &str = "STOPPING=1";

pub fn notify(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, "systemd could not be told {state}");
    }
}

fn send(socket: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let mut text = state.to_owned();
    if state == RELOADING {
        // Without the time systemd does not believe it.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        text = format!(
            "{state}\nMONOTONIC_USEC={}",
            now.tv_sec * 1_000_000 + now.tv_nsec / 1000
        );
    }
    UnixDatagram::unbound()?
        .send_to_addr(text.as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_an_abstract_name_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("shoal-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        let mut text = [0; 100];
        send(path.as_os_str(), READY).unwrap();
        let count = by_path.recv(&mut text).unwrap();
        assert_eq!(&text[..count], b"READY=1");
        send(OsStr::new(&format!("@{name}")), RELOADING).unwrap();
        let count = by_name.recv(&mut text).unwrap();
        assert!(text[..count].starts_with(b"RELOADING=1\nMONOTONIC_USEC="));
    }
}
