//! Drivers that send a log elsewhere: one file each, all of the same shape. They run in the daemon, each on a thread that may
//! wait for its sink; the container never does, since the shim writes to a bounded file that is read here.

mod fluentd;
mod gelf;
mod journald;
mod syslog;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::record::Entry;

pub(crate) const SEND_LIMIT: Duration = Duration::from_secs(5);

/// What a sink is told of the container besides its output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub id: String,
    /// Without a slash.
    pub name: String,
    pub image_id: String,
    pub image_name: String,
    /// With its arguments.
    pub command: String,
    /// RFC 3339.
    pub created: String,
    pub hostname: String,
    pub tag: String,
    /// Labels and environment that the options ask for.
    pub extra: BTreeMap<String, String>,
}

/// Takes records, one after another.
pub trait Sink: Send {
    /// Sends it, connecting when there is no connection. After an error it was perhaps not sent, and may be sent again.
    fn send(&mut self, entry: &Entry) -> io::Result<()>;
}

/// The sink that options describe. The text is Docker's refusal.
pub fn sink(driver: &str, options: &BTreeMap<String, String>, about: About) -> Result<Box<dyn Sink>, String> {
    match driver {
        "syslog" => syslog::Syslog::new(options, about).map(|s| Box::new(s) as Box<dyn Sink>),
        "gelf" => gelf::Gelf::new(options, about).map(|s| Box::new(s) as Box<dyn Sink>),
        "fluentd" => fluentd::Fluentd::new(options, about).map(|s| Box::new(s) as Box<dyn Sink>),
        "journald" => journald::Journald::new(about).map(|s| Box::new(s) as Box<dyn Sink>),
        other => Err(format!("no log driver named '{other}'")),
    }
}

/// The line without its newline, as text.
fn text(entry: &Entry) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(entry.line.strip_suffix(b"\n").unwrap_or(&entry.line))
}

/// A TCP connection that does not wait for ever.
fn dial(address: &str) -> io::Result<std::net::TcpStream> {
    use std::net::ToSocketAddrs;
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address"));
    for address in address.to_socket_addrs()? {
        match std::net::TcpStream::connect_timeout(&address, SEND_LIMIT) {
            Ok(stream) => {
                stream.set_write_timeout(Some(SEND_LIMIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Splits `proto://rest`.
fn scheme(address: &str) -> Option<(&str, &str)> {
    address.split_once("://")
}
