//! Syslog, over UDP, TCP or a unix socket, in Docker's four formats.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::SystemTime;

use super::{About, SEND_LIMIT, Sink, dial, scheme, text};
use crate::record::{Entry, Stream};
use crate::stamp::{civil_parts, rfc3339_nano_fixed};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Udp(String),
    Tcp(String),
    Unix(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

pub(super) struct Syslog {
    target: Target,
    format: Format,
    facility: u8,
    about: About,
    connection: Option<Connection>,
}

impl Syslog {
    pub fn new(options: &BTreeMap<String, String>, about: About) -> Result<Syslog, String> {
        let get = |key: &str| options.get(key).map(String::as_str).unwrap_or("");
        let target = match scheme(get("syslog-address")) {
            None if get("syslog-address").is_empty() => Target::Unix("/dev/log".into()),
            Some(("udp", rest)) => Target::Udp(with_port(rest, 514)),
            Some(("tcp", rest)) => Target::Tcp(with_port(rest, 514)),
            Some(("unix" | "unixgram", path)) => Target::Unix(path.into()),
            Some(("tcp+tls", _)) => return Err("syslog over TLS is not supported by this daemon".into()),
            Some((other, _)) => return Err(format!("unsupported scheme: '{other}'")),
            None => return Err("unsupported scheme: ''".into()),
        };
        let facility = match get("syslog-facility") {
            "" => 3,
            name => match FACILITIES.iter().position(|f| *f == name) {
                Some(number) => number as u8,
                None => name
                    .parse()
                    .ok()
                    .filter(|n| *n <= 23)
                    .ok_or("invalid syslog facility")?,
            },
        };
        let format = match get("syslog-format") {
            "" => Format::Unix,
            "rfc3164" => Format::Rfc3164,
            "rfc5424" => Format::Rfc5424,
            "rfc5424micro" => Format::Rfc5424Micro,
            _ => return Err("Invalid syslog format".into()),
        };
        Ok(Syslog {
            target,
            format,
            facility,
            about,
            connection: None,
        })
    }

    fn message(&self, entry: &Entry) -> String {
        let level = if entry.stream == Stream::Stderr { 3 } else { 6 };
        let priority = self.facility * 8 + level;
        let (tag, host, pid) = (&self.about.tag, &self.about.hostname, std::process::id());
        let text = text(entry);
        match self.format {
            Format::Unix => format!("<{priority}>{} {tag}[{pid}]: {text}\n", short(entry.time)),
            Format::Rfc3164 => format!("<{priority}>{} {host} {tag}[{pid}]: {text}\n", short(entry.time)),
            Format::Rfc5424 | Format::Rfc5424Micro => {
                let mut time = rfc3339_nano_fixed(entry.time);
                time.truncate(if self.format == Format::Rfc5424 { 19 } else { 26 });
                format!("<{priority}>1 {time}Z {host} {tag} {pid} {tag} - {text}\n")
            }
        }
    }

    fn connect(&self) -> io::Result<Connection> {
        match &self.target {
            Target::Udp(address) => {
                let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
                if socket.connect(address).is_err() {
                    let socket = UdpSocket::bind("0.0.0.0:0")?;
                    socket.connect(address)?;
                    return Ok(Connection::Udp(socket));
                }
                Ok(Connection::Udp(socket))
            }
            Target::Tcp(address) => dial(address).map(Connection::Tcp),
            Target::Unix(path) => {
                let datagram = UnixDatagram::unbound()?;
                if datagram.connect(path).is_ok() {
                    datagram.set_write_timeout(Some(SEND_LIMIT))?;
                    return Ok(Connection::Datagram(datagram));
                }
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(SEND_LIMIT))?;
                Ok(Connection::Stream(stream))
            }
        }
    }
}

impl Sink for Syslog {
    fn send(&mut self, entry: &Entry) -> io::Result<()> {
        let message = self.message(entry);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        match &mut connection {
            Connection::Udp(socket) => drop(socket.send(message.as_bytes())?),
            Connection::Datagram(socket) => drop(socket.send(message.as_bytes())?),
            Connection::Tcp(stream) => stream.write_all(message.as_bytes())?,
            Connection::Stream(stream) => stream.write_all(message.as_bytes())?,
        }
        self.connection = Some(connection);
        Ok(())
    }
}

fn with_port(host: &str, port: u16) -> String {
    match host.rsplit_once(':') {
        Some((_, digits)) if digits.parse::<u16>().is_ok() => host.to_owned(),
        _ => format!("{host}:{port}"),
    }
}

/// `Jan _2 15:04:05`
fn short(time: SystemTime) -> String {
    let (_, month, day, hour, minute, second) = civil_parts(time);
    let month = MONTHS[(month.clamp(1, 12) - 1) as usize];
    format!("{month} {day:>2} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn formats() {
        let about = About {
            tag: "t".into(),
            hostname: "h".into(),
            ..About::default()
        };
        let entry = Entry {
            time: UNIX_EPOCH + Duration::from_nanos(1_709_210_096_123_456_789),
            stream: Stream::Stderr,
            line: b"hello\n".to_vec(),
            partial: false,
            piece: None,
            number: 1,
        };
        let pid = std::process::id();
        for (format, want) in [
            ("", format!("<27>Feb 29 12:34:56 t[{pid}]: hello\n")),
            ("rfc3164", format!("<27>Feb 29 12:34:56 h t[{pid}]: hello\n")),
            (
                "rfc5424",
                format!("<27>1 2024-02-29T12:34:56Z h t {pid} t - hello\n"),
            ),
            (
                "rfc5424micro",
                format!("<27>1 2024-02-29T12:34:56.123456Z h t {pid} t - hello\n"),
            ),
        ] {
            let options = BTreeMap::from([("syslog-format".to_string(), format.to_string())]);
            let syslog = Syslog::new(&options, about.clone()).expect("made");
            assert_eq!(syslog.message(&entry), want);
        }
        let refused = |key: &str, value: &str| {
            let options = BTreeMap::from([(key.to_string(), value.to_string())]);
            Syslog::new(&options, About::default()).err().expect("refused")
        };
        assert_eq!(refused("syslog-address", "foo://x"), "unsupported scheme: 'foo'");
        assert_eq!(refused("syslog-facility", "nope"), "invalid syslog facility");
        assert_eq!(refused("syslog-format", "nope"), "Invalid syslog format");
    }
}
