//! What comes to a published IPv6 port and is led nowhere by the packet rules: to a container without IPv6, or by way of ::1. The
//! daemon takes it and passes it on. Connections last as long as both ends and this daemon do; the container sees this
//! host as its client.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use shoal_node_core_host::netplan::Protocol;
use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

/// The container has so long to take a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Connections that one port passes on at a time, each with two descriptors of the daemon; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// After the system refused a connection that waited: it may be out of descriptors.
const REST: Duration = Duration::from_millis(100);
const BACKLOG: i32 = 1024;
/// Clients of one UDP port that answers find back to; the datagrams of more are dropped.
const CLIENTS_MAX: usize = 1024;
/// A client that the container had no answer for in so long is forgotten. Docker's.
const IDLE: Duration = Duration::from_secs(90);
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Where it leads now; nowhere while the container is on no network that leads out.
type Target = Arc<Mutex<Option<SocketAddr>>>;

/// What is listened to. Shut by its owner and closed at once: the port is free for whoever comes next.
#[derive(Debug)]
pub(crate) struct Door<T>(Mutex<Option<T>>);

impl<T> Door<T> {
    pub fn new(open: T) -> Arc<Door<T>> {
        Arc::new(Door(Mutex::new(Some(open))))
    }

    pub fn shut(&self) {
        let open = self.0.lock().take();
        drop(open);
    }

    /// Of what is shut meanwhile, that nothing comes any more.
    fn poll<R>(&self, ask: impl FnOnce(&T) -> Poll<io::Result<R>>) -> Poll<io::Result<Option<R>>> {
        match &*self.0.lock() {
            Some(open) => ask(open).map_ok(Some),
            None => Poll::Ready(Ok(None)),
        }
    }
}

#[derive(Debug)]
enum Open {
    Stream(Arc<Door<TcpListener>>),
    Datagrams(Arc<Door<UdpSocket>>),
}

/// Ends with this, at once. Connections under way go on.
#[derive(Debug)]
pub(crate) struct Passing {
    target: Target,
    open: Open,
    task: JoinHandle<()>,
}

impl Drop for Passing {
    fn drop(&mut self) {
        match &self.open {
            Open::Stream(door) => door.shut(),
            Open::Datagrams(door) => door.shut(),
        }
        self.task.abort();
    }
}

impl Passing {
    /// `socket` is bound. Within a runtime.
    pub fn start(socket: OwnedFd, protocol: Protocol) -> io::Result<Passing> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let _inside = runtime.enter();
        let target = Target::default();
        let known = target.clone();
        let (open, task) = match protocol {
            Protocol::Tcp => {
                // Connections have it from here: those that linger do not keep the port from the next one.
                rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
                rustix::net::listen(&socket, BACKLOG)?;
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                let door = Door::new(TcpListener::from_std(listener)?);
                let serve = accept(door.clone(), move |client, _| connection(client, *known.lock()));
                (Open::Stream(door), runtime.spawn(serve))
            }
            Protocol::Udp => {
                let socket = std::net::UdpSocket::from(socket);
                socket.set_nonblocking(true)?;
                let door = Door::new(UdpSocket::from_std(socket)?);
                let serve = datagrams(door.clone(), move |_| *known.lock());
                (Open::Datagrams(door), runtime.spawn(serve))
            }
            Protocol::Sctp => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Passing { target, open, task })
    }

    pub fn lead_to(&self, to: Option<SocketAddr>) {
        *self.target.lock() = to;
    }
}

/// Gives each connection to `serve`, no more at a time than there is room for.
pub(crate) async fn accept<F>(door: Arc<Door<TcpListener>>, serve: impl Fn(TcpStream, SocketAddr) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        match poll_fn(|cx| door.poll(|listener| listener.poll_accept(cx))).await {
            Ok(Some((client, from))) => {
                let served = serve(client, from);
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Ok(None) => return,
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

/// Whatever ends it is seen by both ends, as on any connection.
pub(crate) async fn connection(mut client: TcpStream, target: Option<SocketAddr>) {
    let Some(target) = target else { return };
    let tried = tokio::time::timeout(CONNECT, TcpStream::connect(target)).await;
    let Ok(Ok(mut container)) = tried else { return };
    let _ = container.set_nodelay(true);
    let _ = client.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut client, &mut container).await;
}

/// Who answers one client, and what carries the answers.
struct Answers {
    container: Arc<UdpSocket>,
    target: SocketAddr,
    task: AbortHandle,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Clients = Mutex<HashMap<SocketAddr, Answers>>;

/// Passes on what comes, to where `lead` says for its sender, and brings the answers back.
pub(crate) async fn datagrams(
    door: Arc<Door<UdpSocket>>,
    lead: impl Fn(SocketAddr) -> Option<SocketAddr> + Send,
) {
    let clients = Arc::new(Clients::default());
    let mut bytes = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let mut read = ReadBuf::new(&mut bytes);
        let from = match poll_fn(|cx| door.poll(|socket| socket.poll_recv_from(cx, &mut read))).await {
            Ok(Some(from)) => from,
            Ok(None) => return,
            Err(_) => {
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Some(to) = lead(from) else { continue };
        if let Some(container) = container_for(&door, &clients, from, to).await {
            let _ = container.send(read.filled()).await;
        }
    }
}

/// The socket by which this client's datagrams go on; nothing while there are too many clients.
async fn container_for(
    door: &Arc<Door<UdpSocket>>,
    clients: &Arc<Clients>,
    from: SocketAddr,
    to: SocketAddr,
) -> Option<Arc<UdpSocket>> {
    {
        let known = clients.lock();
        match known.get(&from) {
            Some(answers) if answers.target == to => return Some(answers.container.clone()),
            None if known.len() >= CLIENTS_MAX => return None,
            _ => {}
        }
    }
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let container = Arc::new(UdpSocket::bind((any, 0)).await.ok()?);
    container.connect(to).await.ok()?;
    // Not held by what carries the answers: all of it ends with the port.
    let (back, forget) = (Arc::downgrade(door), Arc::downgrade(clients));
    let answering = container.clone();
    let task = tokio::spawn(async move {
        while let Ok(Ok(())) = tokio::time::timeout(IDLE, answering.readable()).await {
            let mut bytes = Vec::with_capacity(DATAGRAM_BYTES_MAX);
            // A refusal is an answer too: the client may ask again later.
            if let (Ok(_), Some(door)) = (answering.try_recv_buf(&mut bytes), back.upgrade()) {
                // What finds no room is lost, as datagrams are.
                let _ = door.poll(|socket| Poll::Ready(socket.try_send_to(&bytes, from)));
            }
        }
        if let Some(clients) = forget.upgrade() {
            clients.lock().remove(&from);
        }
    });
    let answers = Answers {
        container: container.clone(),
        target: to,
        task: task.abort_handle(),
    };
    clients.lock().insert(from, answers);
    Some(container)
}
