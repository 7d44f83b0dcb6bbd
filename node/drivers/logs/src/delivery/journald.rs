//! systemd's journal, by its native protocol.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::{About, SEND_LIMIT, Sink, text};
use crate::record::{Entry, Stream};
use crate::stamp::rfc3339_nano;

const SOCKET: &str = "/run/systemd/journal/socket";

pub(super) struct Journald {
    about: About,
    socket: Option<UnixDatagram>,
}

impl Journald {
    pub fn new(about: About) -> Result<Journald, String> {
        if !Path::new(SOCKET).exists() {
            return Err("journald is not enabled on this host".into());
        }
        Ok(Journald { about, socket: None })
    }

    fn message(&self, entry: &Entry) -> Vec<u8> {
        let about = &self.about;
        let mut out = Vec::new();
        let short: String = about.id.chars().take(12).collect();
        let time = rfc3339_nano(entry.time);
        let priority = if entry.stream == Stream::Stderr { "3" } else { "6" };
        for (key, value) in [
            ("MESSAGE", &*text(entry)),
            ("PRIORITY", priority),
            ("CONTAINER_ID", &short),
            ("CONTAINER_ID_FULL", &about.id),
            ("CONTAINER_NAME", &about.name),
            ("CONTAINER_TAG", &about.tag),
            ("IMAGE_NAME", &about.image_name),
            ("SYSLOG_IDENTIFIER", &about.tag),
            ("SYSLOG_TIMESTAMP", &time),
        ] {
            field(&mut out, key, value);
        }
        for (key, value) in &about.extra {
            field(&mut out, &name(key), value);
        }
        if let Some(piece) = entry.piece {
            field(&mut out, "CONTAINER_PARTIAL_ID", &format!("{:016x}", piece.id));
            field(&mut out, "CONTAINER_PARTIAL_ORDINAL", &piece.ordinal.to_string());
            field(
                &mut out,
                "CONTAINER_PARTIAL_LAST",
                if piece.last { "true" } else { "false" },
            );
            if !piece.last {
                field(&mut out, "CONTAINER_PARTIAL_MESSAGE", "true");
            }
        }
        out
    }
}

/// A value with newlines carries its length.
fn field(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// Capitals, digits and underscores; not an underscore first.
fn name(key: &str) -> String {
    let upper = key.to_ascii_uppercase();
    let clean: String = upper
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    clean.trim_start_matches('_').to_owned()
}

impl Sink for Journald {
    fn send(&mut self, entry: &Entry) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(SOCKET)?;
                socket.set_write_timeout(Some(SEND_LIMIT))?;
                socket
            }
        };
        socket.send(&self.message(entry))?;
        self.socket = Some(socket);
        Ok(())
    }
}
