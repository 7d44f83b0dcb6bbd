//! Registries behind a proxy: which one, told as in `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, and how it is asked.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Service;

use crate::error::{Error, Result};

/// What a proxy says before it lets a connection through.
const ANSWER_MAX: usize = 16 * 1024;

/// Which requests go through which proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Except>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proxy {
    uri: Uri,
    /// A `Proxy-Authorization`.
    authorization: Option<String>,
}

/// One item of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    Net(IpNet),
    /// An address or a domain with what is below it; with a port, only there.
    Host {
        name: String,
        below_only: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// `http` and `https` are `[http://][user:password@]host[:port]`, or empty for none; `except` is a list with commas.
    pub fn new(http: &str, https: &str, except: &str) -> Result<Proxies> {
        let items = except.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(Proxies {
            http: proxy(http)?,
            https: proxy(https)?,
            except: items.map(except_of).collect(),
        })
    }

    fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let proxy = match uri.scheme_str() {
            Some("https") => self.https.as_ref(),
            _ => self.http.as_ref(),
        }?;
        let host = uri
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        });
        let address: Option<IpAddr> = host.parse().ok();
        let own = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let excepted = self.except.iter().any(|except| match except {
            Except::All => true,
            Except::Net(net) => address.is_some_and(|address| net.contains(&address)),
            Except::Host {
                name,
                below_only,
                port: at,
            } => {
                let below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.ends_with('.'));
                at.is_none_or(|at| at == port) && (below || (!below_only && host == *name))
            }
        });
        (!own && !excepted).then_some(proxy)
    }

    /// What a request without TLS says to the proxy; one with TLS says it when it asks to be let through.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<&str> {
        let plain = uri.scheme_str() == Some("http");
        self.of(uri).filter(|_| plain)?.authorization.as_deref()
    }
}

fn proxy(text: &str) -> Result<Option<Proxy>> {
    let wrong =
        |why: &str| Error::InvalidParameter(format!("invalid proxy {:?}: {why}", without_password(text)));
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(wrong(&format!("the scheme {scheme} is not supported"))),
        None => text,
    };
    let rest = rest.split('/').next().unwrap_or_default();
    let (user, host) = rest
        .rsplit_once('@')
        .map_or((None, rest), |(user, host)| (Some(user), host));
    let uri: Uri = format!("http://{host}/")
        .parse()
        .map_err(|_| wrong("this is no address"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("there is no host in it"));
    }
    Ok(Some(Proxy {
        uri,
        authorization: user.map(|user| format!("Basic {}", STANDARD.encode(decoded(user)))),
    }))
}

/// For messages.
fn without_password(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}

/// `%40` is `@`.
fn decoded(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.as_bytes().iter());
    while let Some(&byte) = bytes.next() {
        let rest = bytes.as_slice();
        let code = (byte == b'%').then(|| rest.get(..2)).flatten();
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match code {
            Some(code) => {
                out.push(code);
                bytes.nth(1);
            }
            None => out.push(byte),
        }
    }
    out
}

fn except_of(item: &str) -> Except {
    let item = item.to_ascii_lowercase();
    if item == "*" {
        return Except::All;
    }
    if let Ok(net) = item.parse() {
        return Except::Net(net);
    }
    if let Ok(address) = item
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        return Except::Net(address.into());
    }
    let (name, port) = match item.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
        _ => (item.as_str(), None),
    };
    let name = name.strip_prefix('*').unwrap_or(name);
    Except::Host {
        below_only: name.starts_with('.'),
        name: name
            .trim_start_matches('.')
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port,
    }
}

/// Connects directly or through a proxy.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub tcp: HttpConnector,
    pub proxies: Arc<Proxies>,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Stream, Failed>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Failed>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.proxies.of(&uri).cloned() else {
            let connecting = self.tcp.call(uri);
            return Box::pin(async move {
                let io = connecting.await?;
                Ok(Stream { io, through: false })
            });
        };
        let connecting = self.tcp.call(proxy.uri.clone());
        Box::pin(async move {
            let said =
                |e: &dyn std::fmt::Display| io::Error::other(format!("proxyconnect {}: {e}", proxy.uri));
            let io = connecting.await.map_err(|e| said(&deepest(&e)))?;
            if uri.scheme_str() != Some("https") {
                return Ok(Stream { io, through: true });
            }
            let mut stream = io.into_inner();
            tunnel(&mut stream, &uri, &proxy).await.map_err(|e| said(&e))?;
            Ok(Stream {
                io: TokioIo::new(stream),
                through: false,
            })
        })
    }
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Asks the proxy for a connection to where `uri` leads.
async fn tunnel(stream: &mut TcpStream, uri: &Uri, proxy: &Proxy) -> io::Result<()> {
    let host = uri.host().unwrap_or_default();
    let to = format!("{host}:{}", uri.port_u16().unwrap_or(443));
    let authorization = match &proxy.authorization {
        Some(value) => format!("Proxy-Authorization: {value}\r\n"),
        None => String::new(),
    };
    let ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
    stream.write_all(ask.as_bytes()).await?;
    // Byte by byte: what follows the empty line is no longer the proxy's.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= ANSWER_MAX {
            return Err(io::Error::other("the answer has no end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some(code) if code.len() == 3 && code.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(
            line.split_once(' ').map_or(line, |(_, why)| why).to_owned(),
        )),
    }
}

/// A connection, and whether a proxy reads what is asked on it.
#[derive(Debug)]
pub(super) struct Stream {
    io: TokioIo<TcpStream>,
    through: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.through)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_through() {
        let list = "10.0.0.0/8, reg.lan, .below.lan,only.lan:5000, *.star.lan,[fd00::1]";
        let proxies = Proxies::new("http://plain:3128", "u%40x:p@safe:3129/", list).expect("proxies");
        let through = |uri: &str| {
            let uri: Uri = uri.parse().expect("uri");
            proxies.of(&uri).map(|proxy| proxy.uri.to_string())
        };
        assert_eq!(through("http://x.org/v2/").as_deref(), Some("http://plain:3128/"));
        assert_eq!(
            through("https://x.org:444/v2/").as_deref(),
            Some("http://safe:3129/")
        );
        for direct in [
            "https://localhost:5000/",
            "http://127.0.0.1/",
            "http://[::1]:5/",
            "https://10.1.2.3/",
            "https://reg.lan/",
            "https://a.reg.lan/",
            "https://a.below.lan/",
            "https://only.lan:5000/",
            "https://a.star.lan/",
            "https://[fd00::1]/",
        ] {
            assert_eq!(through(direct), None, "{direct}");
        }
        for not in [
            "https://below.lan/",
            "https://only.lan/",
            "https://xreg.lan/",
            "https://11.1.2.3/",
        ] {
            assert!(through(not).is_some(), "{not}");
        }
        let safe = proxies
            .https
            .as_ref()
            .and_then(|proxy| proxy.authorization.clone());
        assert_eq!(safe, Some(format!("Basic {}", STANDARD.encode("u@x:p"))));
        assert_eq!(
            proxies.authorization(&"https://x.org/".parse().expect("uri")),
            None
        );
        assert!(
            Proxies::new("", "", "*")
                .expect("none")
                .of(&"http://x.org/".parse().expect("uri"))
                .is_none()
        );
        let error = Proxies::new("socks5://u:secret@x:1", "", "")
            .expect_err("not this")
            .to_string();
        assert!(error.contains("socks5") && !error.contains("secret"), "{error}");
    }
}
