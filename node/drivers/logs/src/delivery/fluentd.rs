//! Fluentd's forward protocol: MessagePack over TCP or a unix socket.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::UNIX_EPOCH;

use super::{About, SEND_LIMIT, Sink, dial, scheme};
use crate::record::Entry;

const ADDRESS: &str = "127.0.0.1:24224";

enum Target {
    Tcp(String),
    Unix(String),
}

enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) struct Fluentd {
    target: Target,
    sub_second: bool,
    about: About,
    connection: Option<Connection>,
}

impl Fluentd {
    pub fn new(options: &BTreeMap<String, String>, about: About) -> Result<Fluentd, String> {
        let address = options.get("fluentd-address").map(String::as_str).unwrap_or("");
        let wrong = |why: &str| format!("invalid fluentd-address ({address}): {why}");
        let target = match scheme(address) {
            None if address.is_empty() => Target::Tcp(ADDRESS.into()),
            None => Target::Tcp(with_port(address).map_err(|why| wrong(&why))?),
            Some(("tcp", rest)) => Target::Tcp(with_port(rest).map_err(|why| wrong(&why))?),
            Some(("unix", "")) => return Err(wrong("path is empty")),
            Some(("unix", path)) => Target::Unix(path.into()),
            Some((other, _)) => return Err(wrong(&format!("unsupported scheme: '{other}'"))),
        };
        Ok(Fluentd {
            target,
            sub_second: options
                .get("fluentd-sub-second-precision")
                .is_some_and(|v| v == "true"),
            about,
            connection: None,
        })
    }

    fn message(&self, entry: &Entry) -> Vec<u8> {
        let about = &self.about;
        let name = format!("/{}", about.name);
        let source = entry.stream.as_str();
        let line = entry.line.strip_suffix(b"\n").unwrap_or(&entry.line);
        let mut fields: Vec<(&str, &[u8])> = vec![
            ("container_id", about.id.as_bytes()),
            ("container_name", name.as_bytes()),
            ("source", source.as_bytes()),
            ("log", line),
        ];
        for (key, value) in &about.extra {
            fields.push((key, value.as_bytes()));
        }
        let (id, ordinal);
        if let Some(piece) = entry.piece {
            id = format!("{:016x}", piece.id);
            ordinal = piece.ordinal.to_string();
            fields.push(("partial_message", b"true"));
            fields.push(("partial_id", id.as_bytes()));
            fields.push(("partial_ordinal", ordinal.as_bytes()));
            fields.push(("partial_last", if piece.last { b"true" } else { b"false" }));
        }
        let mut out = vec![0x93];
        string(&mut out, about.tag.as_bytes());
        let since = entry.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        if self.sub_second {
            // EventTime: extension 0 of eight bytes.
            out.extend_from_slice(&[0xd7, 0]);
            out.extend_from_slice(&seconds.to_be_bytes());
            out.extend_from_slice(&since.subsec_nanos().to_be_bytes());
        } else {
            out.push(0xce);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        out.push(0xde);
        out.extend_from_slice(&(fields.len() as u16).to_be_bytes());
        for (key, value) in fields {
            string(&mut out, key.as_bytes());
            string(&mut out, value);
        }
        out
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        n @ 0..32 => out.push(0xa0 | n as u8),
        n @ 32..256 => out.extend_from_slice(&[0xd9, n as u8]),
        n @ 256..65536 => {
            out.push(0xda);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            out.push(0xdb);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

fn with_port(host: &str) -> Result<String, String> {
    match host.rsplit_once(':') {
        None => Ok(format!("{host}:24224")),
        Some((name, port)) => match port.parse::<u16>() {
            Ok(_) if name.is_empty() => Ok(format!("127.0.0.1:{port}")),
            Ok(_) => Ok(host.to_owned()),
            Err(_) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => Err(format!(
                "invalid port: strconv.ParseUint: parsing {port:?}: value out of range"
            )),
            Err(_) => Err(format!(
                "invalid port: strconv.ParseUint: parsing {port:?}: invalid syntax"
            )),
        },
    }
}

impl Sink for Fluentd {
    fn send(&mut self, entry: &Entry) -> io::Result<()> {
        let message = self.message(entry);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match &self.target {
                Target::Tcp(address) => Connection::Tcp(dial(address)?),
                Target::Unix(path) => {
                    let stream = UnixStream::connect(path)?;
                    stream.set_write_timeout(Some(SEND_LIMIT))?;
                    Connection::Unix(stream)
                }
            },
        };
        match &mut connection {
            Connection::Tcp(stream) => stream.write_all(&message)?,
            Connection::Unix(stream) => stream.write_all(&message)?,
        }
        self.connection = Some(connection);
        Ok(())
    }
}
