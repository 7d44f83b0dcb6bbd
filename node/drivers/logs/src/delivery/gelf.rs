//! GELF: compressed and in chunks over UDP, or with zero bytes between over TCP.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Map, Value, json};

use super::{About, Sink, dial, scheme, text};
use crate::record::{Entry, Stream};

/// Of a datagram, header included; fits every path.
const CHUNK: usize = 1420;
const CHUNKS_MAX: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zlib,
    None,
}

pub(super) struct Gelf {
    udp: bool,
    address: String,
    packing: Packing,
    level: Compression,
    about: About,
    tcp: Option<TcpStream>,
    socket: Option<UdpSocket>,
    sent: u64,
}

impl Gelf {
    pub fn new(options: &BTreeMap<String, String>, about: About) -> Result<Gelf, String> {
        let get = |key: &str| options.get(key).map(String::as_str);
        let address = get("gelf-address").unwrap_or("");
        if address.is_empty() {
            return Err("gelf-address is a required parameter".into());
        }
        let (kind, host) = scheme(address).unwrap_or(("", ""));
        if !matches!(kind, "tcp" | "udp") {
            return Err("gelf: endpoint needs to be TCP or UDP".into());
        }
        if host
            .rsplit_once(':')
            .is_none_or(|(_, port)| port.parse::<u16>().is_err())
        {
            return Err("gelf: please provide gelf-address as proto://host:port".into());
        }
        let udp = kind == "udp";
        for key in ["gelf-compression-level", "gelf-compression-type"] {
            if !udp && options.contains_key(key) {
                return Err("compression is only supported on UDP".into());
            }
        }
        for key in ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"] {
            if let Some(text) = get(key) {
                if udp {
                    return Err(format!("{key:?} is only valid for TCP"));
                }
                if text.parse::<u32>().is_err() {
                    return Err(format!("{key:?} must be a positive integer"));
                }
            }
        }
        let unknown = |key: &str, value: &str| {
            format!("unknown value {value:?} for log opt {key:?} for gelf log driver")
        };
        let packing = match get("gelf-compression-type") {
            None | Some("gzip") => Packing::Gzip,
            Some("zlib") => Packing::Zlib,
            Some("none") => Packing::None,
            Some(other) => return Err(unknown("gelf-compression-type", other)),
        };
        let level = match get("gelf-compression-level") {
            None => 1,
            Some(text) => match text.parse::<i32>() {
                Ok(level) if (-1..=9).contains(&level) => level,
                _ => return Err(unknown("gelf-compression-level", text)),
            },
        };
        Ok(Gelf {
            udp,
            address: host.into(),
            packing,
            level: u32::try_from(level).map_or_else(|_| Compression::default(), Compression::new),
            about,
            tcp: None,
            socket: None,
            sent: 0,
        })
    }

    fn message(&self, entry: &Entry) -> Vec<u8> {
        let about = &self.about;
        let since = entry.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut message = Map::new();
        let mut put = |key: &str, value: Value| drop(message.insert(key.to_owned(), value));
        put("version", json!("1.1"));
        put("host", json!(about.hostname));
        put("short_message", json!(text(entry)));
        put("timestamp", json!((since.as_millis() as f64) / 1000.0));
        put("level", json!(if entry.stream == Stream::Stderr { 3 } else { 6 }));
        for (key, value) in [
            ("_command", &about.command),
            ("_container_id", &about.id),
            ("_container_name", &about.name),
            ("_created", &about.created),
            ("_image_id", &about.image_id),
            ("_image_name", &about.image_name),
            ("_tag", &about.tag),
        ] {
            put(key, json!(value));
        }
        for (key, value) in &about.extra {
            put(&format!("_{key}"), json!(value));
        }
        serde_json::to_vec(&message).unwrap_or_default()
    }

    fn pack(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        match self.packing {
            Packing::None => Ok(message.to_vec()),
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), self.level);
                encoder.write_all(message)?;
                encoder.finish()
            }
            Packing::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), self.level);
                encoder.write_all(message)?;
                encoder.finish()
            }
        }
    }
}

/// One datagram, or several with a header that says how they belong together.
fn chunks(packed: &[u8], id: u64) -> Vec<Vec<u8>> {
    if packed.len() <= CHUNK {
        return vec![packed.to_vec()];
    }
    let pieces: Vec<&[u8]> = packed.chunks(CHUNK - 12).take(CHUNKS_MAX).collect();
    let count = pieces.len() as u8;
    let numbered = (0u8..).zip(pieces);
    let chunk = |(n, piece): (u8, &[u8])| {
        let mut out = vec![0x1e, 0x0f];
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&[n, count]);
        out.extend_from_slice(piece);
        out
    };
    numbered.map(chunk).collect()
}

impl Sink for Gelf {
    fn send(&mut self, entry: &Entry) -> io::Result<()> {
        // An empty message is no GELF.
        if text(entry).is_empty() {
            return Ok(());
        }
        let mut message = self.message(entry);
        if !self.udp {
            message.push(0);
            let mut stream = match self.tcp.take() {
                Some(stream) => stream,
                None => dial(&self.address)?,
            };
            stream.write_all(&message)?;
            self.tcp = Some(stream);
            return Ok(());
        }
        let packed = self.pack(&message)?;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                match socket.connect(&self.address) {
                    Ok(()) => socket,
                    Err(_) => {
                        let socket = UdpSocket::bind("[::]:0")?;
                        socket.connect(&self.address)?;
                        socket
                    }
                }
            }
        };
        self.sent += 1;
        let id = crate::record::nanos(entry.time) ^ self.sent.rotate_left(40) ^ u64::from(std::process::id());
        for chunk in chunks(&packed, id) {
            socket.send(&chunk)?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_come_in_chunks() {
        assert_eq!(chunks(&[7; 1420], 1).len(), 1);
        let parts = chunks(&[7; 5000], 0x0102);
        assert_eq!(parts.len(), 4);
        assert_eq!(&parts[3][..12], [0x1e, 0x0f, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(parts.iter().map(|p| p.len() - 12).sum::<usize>(), 5000);
    }

    #[test]
    fn refuses_in_dockers_words() {
        let refused = |pairs: &[(&str, &str)]| {
            let options = pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect();
            Gelf::new(&options, About::default()).err().expect("refused")
        };
        let udp = ("gelf-address", "udp://127.0.0.1:12201");
        assert_eq!(refused(&[]), "gelf-address is a required parameter");
        assert_eq!(
            refused(&[("gelf-address", "foo://x")]),
            "gelf: endpoint needs to be TCP or UDP"
        );
        assert_eq!(
            refused(&[("gelf-address", "udp://127.0.0.1")]),
            "gelf: please provide gelf-address as proto://host:port"
        );
        assert_eq!(
            refused(&[udp, ("gelf-compression-type", "x")]),
            "unknown value \"x\" for log opt \"gelf-compression-type\" for gelf log driver"
        );
        assert_eq!(
            refused(&[udp, ("gelf-tcp-max-reconnect", "2")]),
            "\"gelf-tcp-max-reconnect\" is only valid for TCP"
        );
        assert_eq!(
            refused(&[("gelf-address", "tcp://h:1"), ("gelf-compression-type", "gzip")]),
            "compression is only supported on UDP"
        );
    }
}
