//! Which sockets the API is served on: decided from the configuration first, bound afterwards.

use crate::config::Config;
use anyhow::{Result, bail};
use shoal_api_http::{BindError, Listener, TlsFiles, plain_tcp_is_safe};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Socket {
    Unix(PathBuf),
    /// `host:port`, and whether TLS is spoken on it.
    Tcp(String, Option<TlsFiles>),
    /// What systemd passed.
    Systemd(Option<TlsFiles>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    pub sockets: Vec<Socket>,
    /// Of unix sockets. None where the default group does not have to exist.
    pub group: Option<String>,
}

/// Between attempts at a port that is taken: the first pause, doubled up to the last.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Reads the `hosts`. Plain TCP that other machines reach gives them root, so it has to be asked for by name.
pub fn plan(config: &Config) -> Result<Plan> {
    let tls = tls(config)?;
    let mut sockets = Vec::new();
    for host in &config.hosts {
        let socket = match host.split_once("://") {
            Some(("unix", "")) => Socket::Unix(DEFAULT_SOCKET.into()),
            Some(("unix", path)) => Socket::Unix(path.into()),
            Some(("fd", _)) => Socket::Systemd(tls.clone()),
            Some(("tcp", rest)) => tcp(rest, tls.as_ref(), config.allow_plain_tcp)?,
            None if host.starts_with('/') => Socket::Unix(host.into()),
            None if !host.is_empty() => tcp(host, tls.as_ref(), config.allow_plain_tcp)?,
            _ => bail!("invalid -H {host:?}: want unix://, tcp:// or fd://"),
        };
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }
    if sockets.is_empty() {
        sockets.push(Socket::Unix(DEFAULT_SOCKET.into()));
    }
    let group = Some(config.group.clone()).filter(|g| g != "docker");
    Ok(Plan { sockets, group })
}

fn tcp(rest: &str, tls: Option<&TlsFiles>, allow_plain: bool) -> Result<Socket> {
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (rest, ""),
    };
    let port = match (port, tls) {
        ("", Some(_)) => "2376",
        ("", None) => "2375",
        (port, _) => port,
    };
    if port.parse::<u16>().is_err() {
        bail!("invalid bind address tcp://{rest}: {port:?} is not a port");
    }
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let address = format!("{host}:{port}");
    if tls.is_none() && !allow_plain && !plain_tcp_is_safe(&address) {
        bail!(
            "refusing to serve the API on tcp://{address} without TLS: whoever reaches it is root here. \
             Use --tlsverify with certificates, or say --allow-plain-tcp"
        );
    }
    Ok(Socket::Tcp(address, tls.cloned()))
}

/// `--tls` encrypts, `--tlsverify` asks for the client's certificate too. Files default to `~/.docker`, as dockerd's.
fn tls(config: &Config) -> Result<Option<TlsFiles>> {
    if !config.tls && !config.tlsverify {
        return Ok(None);
    }
    let home = std::env::var("DOCKER_CERT_PATH")
        .map(PathBuf::from)
        .or_else(|_| std::env::var("HOME").map(|h| Path::new(&h).join(".docker")))
        .unwrap_or_else(|_| "/root/.docker".into());
    let file = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| home.join(name));
    Ok(Some(TlsFiles {
        certificate: file(&config.tlscert, "cert.pem"),
        key: file(&config.tlskey, "key.pem"),
        ca: config.tlsverify.then(|| file(&config.tlscacert, "ca.pem")),
    }))
}

/// What was bound, and what somebody else has for now.
#[derive(Default)]
pub struct Bound {
    pub listeners: Vec<Listener>,
    pub taken: Vec<Taken>,
}

/// A TCP port that is somebody else's.
pub struct Taken {
    address: String,
    tls: Option<TlsFiles>,
    pub reason: String,
}

/// Binds everything, or nothing: what was bound goes with the error. A port that is taken is no error where the API is
/// served somewhere else: after a restart its holder may be about to go.
pub async fn bind(plan: &Plan) -> Result<Bound> {
    let mut bound = Bound::default();
    let mut first = None;
    for socket in &plan.sockets {
        match socket {
            Socket::Unix(path) => {
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir)?;
                }
                bound.listeners.push(Listener::unix(path, plan.group.as_deref())?);
            }
            Socket::Tcp(address, tls) => match tcp_listener(address, tls.as_ref()).await {
                Ok(listener) => bound.listeners.push(listener),
                Err(error) if is_taken(&error) => {
                    bound.taken.push(Taken {
                        address: address.clone(),
                        tls: tls.clone(),
                        reason: error.to_string(),
                    });
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            },
            Socket::Systemd(files) => bound.listeners.extend(Listener::systemd(files.as_ref())?),
        }
    }
    match first {
        Some(error) if bound.listeners.is_empty() => Err(error.into()),
        _ => Ok(bound),
    }
}

impl Taken {
    /// Tries again until the port is free.
    pub async fn insist(&self) -> Listener {
        let mut pause = PAUSE;
        tracing::warn!("{}: trying again", self.reason);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if let Ok(listener) = tcp_listener(&self.address, self.tls.as_ref()).await {
                tracing::info!(address = self.address, "API listening at last");
                return listener;
            }
        }
    }
}

async fn tcp_listener(address: &str, tls: Option<&TlsFiles>) -> std::result::Result<Listener, BindError> {
    match tls {
        None => Listener::tcp(address).await,
        Some(files) => Listener::tls(address, files).await,
    }
}

fn is_taken(error: &BindError) -> bool {
    matches!(error, BindError::Tcp { reason, .. } if reason.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(hosts: &[&str], change: impl Fn(&mut Config)) -> Result<Vec<Socket>, String> {
        let mut config = Config {
            hosts: hosts.iter().map(|h| h.to_string()).collect(),
            ..Config::default()
        };
        change(&mut config);
        plan(&config).map(|p| p.sockets).map_err(|e| e.to_string())
    }

    #[test]
    fn hosts_as_dockerd_takes_them() {
        let unix = |p: &str| Socket::Unix(p.into());
        assert_eq!(plan_of(&[], |_| ()).unwrap(), [unix(DEFAULT_SOCKET)]);
        assert_eq!(
            plan_of(&["unix:///a", "/b"], |_| ()).unwrap(),
            [unix("/a"), unix("/b")]
        );
        assert_eq!(
            plan_of(&["tcp://127.0.0.1"], |_| ()).unwrap(),
            [Socket::Tcp("127.0.0.1:2375".into(), None)]
        );
        assert_eq!(
            plan_of(&["tcp://:9"], |_| ()).unwrap(),
            [Socket::Tcp("127.0.0.1:9".into(), None)]
        );
        assert!(plan_of(&["tcp://127.0.0.1:x"], |_| ()).is_err());
        assert!(plan_of(&["ftp://x"], |_| ()).is_err());
    }

    #[tokio::test]
    async fn a_taken_port_is_waited_for_unless_it_is_the_only_one() {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap().to_string();
        let dir = tempfile::tempdir().unwrap();
        let mut plan = Plan {
            sockets: vec![Socket::Tcp(address.clone(), None)],
            group: Some(String::new()),
        };
        let alone = bind(&plan).await.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            alone.contains("listen tcp") && alone.contains("in use"),
            "{alone}"
        );
        plan.sockets.push(Socket::Unix(dir.path().join("s")));
        let bound = bind(&plan).await.unwrap();
        assert_eq!((bound.listeners.len(), bound.taken.len()), (1, 1));
        assert!(
            bound.taken[0].reason.contains(&address),
            "{}",
            bound.taken[0].reason
        );
        drop(holder);
        let free = bound.taken[0].insist().await;
        assert_eq!(free.tcp_address().unwrap().to_string(), address);
    }

    #[test]
    fn plain_tcp_off_loopback_has_to_be_asked_for() {
        let err = plan_of(&["tcp://0.0.0.0:2375"], |_| ()).unwrap_err();
        assert!(
            err.contains("--tlsverify") && err.contains("--allow-plain-tcp"),
            "{err}"
        );
        assert!(plan_of(&["tcp://0.0.0.0:2375"], |c| c.allow_plain_tcp = true).is_ok());
        let with_tls = plan_of(&["tcp://0.0.0.0"], |c| c.tlsverify = true).unwrap();
        assert!(
            matches!(&with_tls[..], [Socket::Tcp(a, Some(TlsFiles { ca: Some(_), .. }))] if a == "0.0.0.0:2376")
        );
    }
}
