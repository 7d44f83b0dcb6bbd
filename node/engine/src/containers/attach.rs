//! `docker attach`, and the attach of `docker run`, which comes before there is a process: such a client is connected
//! while the process waits at its gate, so that it misses nothing.

use super::detach::{Detachable, Keys};
use super::{Containers, logs};
use crate::error::{Result, conflict, invalid, system};
use parking_lot::Mutex;
use shoal_api_backend::{Attach, Attached, Duplex, Logs};
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_shim as shim;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// More clients than this cannot wait for one container.
const WAITING_MAX: usize = 64;
impl Containers {
    pub async fn attach(&self, reference: &str, options: Attach) -> Result<Attached> {
        let handle = self.kit.registry.get(reference)?;
        let view = handle.view();
        match view.phase() {
            Phase::Paused => {
                return Err(conflict(format!(
                    "container {} is paused, unpause the container before attach",
                    handle.id()
                )));
            }
            Phase::Restarting => {
                return Err(conflict(format!(
                    "container {} is restarting, wait until the container is running",
                    handle.id()
                )));
            }
            _ => {}
        }
        let config = &view.record.config;
        let text = options.detach_keys.as_deref().unwrap_or_default();
        let keys =
            Keys::parse(text).ok_or_else(|| invalid(format!("Invalid detach keys ({text}) provided")))?;
        let wanted = shim::Attach {
            stdin: options.stdin && config.open_stdin,
            stdout: options.stdout,
            stderr: options.stderr,
        };
        let mut stream: Box<dyn Duplex> = if !options.stream {
            Box::new(tokio::io::join(tokio::io::empty(), tokio::io::sink()))
        } else {
            let connected = match &view.shim {
                Some(shim) => match shim.attach(wanted).await {
                    Ok(stream) => Slot::filled(stream),
                    // It ended just now: what it said is over.
                    Err(shim::Error::Gone) => Slot::closed(),
                    Err(e) => return Err(system(e.to_string())),
                },
                None => handle.waiting().push(wanted)?,
            };
            match config.tty && wanted.stdin {
                false => Box::new(Line(connected)),
                true => {
                    let (kit, handle) = (self.kit.clone(), handle.clone());
                    let told = move || {
                        let attributes = super::attributes(&handle.view().record);
                        kit.events.publish("container", "detach", handle.id(), attributes);
                    };
                    Box::new(Detachable::new(Line(connected), keys, told))
                }
            }
        };
        if options.logs {
            let wish = Logs {
                stdout: options.stdout,
                stderr: options.stderr,
                ..Logs::default()
            };
            let past = logs::stream(&handle, &wish)?;
            let past = tokio_util::io::StreamReader::new(futures_util::StreamExt::map(past, |piece| {
                piece.map_err(io::Error::other)
            }));
            let (reader, writer) = tokio::io::split(stream);
            stream = Box::new(tokio::io::join(
                tokio::io::AsyncReadExt::chain(past, reader),
                writer,
            ));
        }
        let attributes = super::attributes(&view.record);
        self.kit
            .events
            .publish("container", "attach", handle.id(), attributes);
        Ok(Attached {
            tty: config.tty,
            stream,
        })
    }
}

/// Clients that wait for a container's process.
#[derive(Default)]
pub struct Waiting {
    clients: Mutex<Vec<(shim::Attach, Arc<Slot>)>>,
}

impl Waiting {
    fn push(&self, wanted: shim::Attach) -> Result<Arc<Slot>> {
        let slot = Arc::new(Slot::default());
        let mut clients = self.clients.lock();
        // Those that have gone away meanwhile.
        clients.retain(|(_, slot)| Arc::strong_count(slot) > 1);
        if clients.len() >= WAITING_MAX {
            return Err(conflict("too many clients wait for this container to start"));
        }
        clients.push((wanted, slot.clone()));
        Ok(slot)
    }

    /// Connects everybody to a process that has not begun.
    pub async fn connect(&self, shim: &shim::Shim) {
        let clients = std::mem::take(&mut *self.clients.lock());
        for (wanted, slot) in clients {
            if Arc::strong_count(&slot) == 1 {
                continue;
            }
            slot.fill(shim.attach(wanted).await.ok());
        }
    }

    /// There will be no process.
    pub fn disappoint(&self) {
        for (_, slot) in self.clients.lock().drain(..) {
            slot.fill(None);
        }
    }
}

/// A stream that may be still to come.
#[derive(Default)]
pub struct Slot {
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    /// `Some(None)`: it will never come.
    stream: Option<Option<UnixStream>>,
    wakers: Vec<Waker>,
}

impl Slot {
    fn filled(stream: UnixStream) -> Arc<Slot> {
        let slot = Slot::default();
        slot.fill(Some(stream));
        Arc::new(slot)
    }

    fn closed() -> Arc<Slot> {
        let slot = Slot::default();
        slot.fill(None);
        Arc::new(slot)
    }

    fn fill(&self, stream: Option<UnixStream>) {
        let mut state = self.state.lock();
        state.stream = Some(stream);
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// A client's line to the container: raw, or framed by the shim.
struct Line(Arc<Slot>);

impl Line {
    fn with<T>(
        &self,
        cx: &mut Context<'_>,
        closed: Poll<io::Result<T>>,
        work: impl FnOnce(Pin<&mut UnixStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.0.state.lock();
        match &mut state.stream {
            Some(Some(stream)) => work(Pin::new(stream), cx),
            Some(None) => closed,
            None => {
                state.wakers.retain(|w| !w.will_wake(cx.waker()));
                state.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(cx, Poll::Ready(Ok(())), |stream, cx| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, typed: &[u8]) -> Poll<io::Result<usize>> {
        let gone = Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        self.with(cx, gone, |stream, cx| stream.poll_write(cx, typed))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(cx, Poll::Ready(Ok(())), |stream, cx| stream.poll_shutdown(cx))
    }
}
