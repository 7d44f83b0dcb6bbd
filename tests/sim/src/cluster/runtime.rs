//! One thread, virtual time, one seed: an executor on which openraft and the managers' own code run unchanged.
//!
//! Time moves only when nothing is ready, straight to the next timer. Which ready task runs next is drawn from the
//! seed, out of a set that is ordered by task id: so neither the order in which a channel wakes its waiters nor any
//! hash order can show, and other seeds mean other interleavings. A task belongs to an owner (a simulated process) and
//! so do the tasks that it spawns; [`kill`] drops them all, as SIGKILL would.

use openraft::Instant;
use openraft::type_config::AsyncRuntime;
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot, TokioWatch};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

/// A simulated process.
pub type Owner = u64;

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Executor {
    tasks: RefCell<BTreeMap<u64, (Owner, Task)>>,
    ready: RefCell<BTreeSet<u64>>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    now: Cell<u64>,
    counter: Cell<u64>,
    owner: Cell<Owner>,
    running: Cell<u64>,
    dead: RefCell<BTreeSet<Owner>>,
    rng: RefCell<Option<ChaCha8Rng>>,
}

thread_local! {
    static EXECUTOR: Executor = Executor::default();
}

/// Begins anew: no task, time zero, this seed.
pub fn reset(seed: u64) {
    // Dropped outside of the borrow: a future that is dropped may wake others.
    let old = EXECUTOR.with(|e| e.tasks.take());
    drop(old);
    EXECUTOR.with(|e| {
        e.ready.borrow_mut().clear();
        e.timers.borrow_mut().clear();
        e.now.set(0);
        e.counter.set(0);
        e.owner.set(0);
        e.dead.borrow_mut().clear();
        *e.rng.borrow_mut() = Some(ChaCha8Rng::seed_from_u64(seed));
    });
}

/// Nanoseconds of virtual time.
pub fn now() -> u64 {
    EXECUTOR.with(|e| e.now.get())
}

/// A random generator of its own, drawn from the seed.
pub fn rng() -> ChaCha8Rng {
    EXECUTOR.with(|e| {
        let mut rng = e.rng.borrow_mut();
        let rng = rng.get_or_insert_with(|| ChaCha8Rng::seed_from_u64(0));
        ChaCha8Rng::seed_from_u64(rng.next_u64())
    })
}

fn number() -> u64 {
    EXECUTOR.with(|e| {
        e.counter.set(e.counter.get() + 1);
        e.counter.get()
    })
}

/// Starts a task that belongs to `owner`. It need not be `Send`: there is one thread.
pub fn spawn_for(owner: Owner, future: impl Future<Output = ()> + 'static) {
    let id = number();
    EXECUTOR.with(|e| {
        if e.dead.borrow().contains(&owner) {
            return;
        }
        e.tasks.borrow_mut().insert(id, (owner, Box::pin(future)));
        e.ready.borrow_mut().insert(id);
    });
}

/// Ends everything that belongs to `owner`, at once and for good.
pub fn kill(owner: Owner) {
    let doomed = EXECUTOR.with(|e| {
        e.dead.borrow_mut().insert(owner);
        let mut tasks = e.tasks.borrow_mut();
        let ids: Vec<u64> = tasks
            .iter()
            .filter(|(_, (o, _))| *o == owner)
            .map(|(id, _)| *id)
            .collect();
        ids.iter().filter_map(|id| tasks.remove(id)).collect::<Vec<_>>()
    });
    drop(doomed);
}

/// Runs until `limit` (nanoseconds of virtual time) or until `done` says so.
fn run(limit: u64, mut done: impl FnMut() -> bool) {
    loop {
        if done() {
            return;
        }
        match pick() {
            Some(id) => poll(id),
            None => {
                let next = EXECUTOR.with(|e| e.timers.borrow().keys().next().map(|(at, _)| *at));
                match next {
                    Some(at) if at <= limit => fire(at),
                    _ => {
                        EXECUTOR.with(|e| e.now.set(e.now.get().max(limit)));
                        return;
                    }
                }
            }
        }
    }
}

/// Lets virtual time pass.
pub fn advance(by: Duration) {
    let limit = now() + u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    run(limit, || false);
}

/// Runs until the future is done, however long that takes.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let result = Arc::new(parking_lot::Mutex::new(None));
    let out = result.clone();
    let mut future = Box::pin(async move { *out.lock() = Some(future.await) });
    let flag = Arc::new(Flag(std::sync::atomic::AtomicBool::new(true)));
    let waker = Waker::from(flag.clone());
    loop {
        if flag.0.swap(false, std::sync::atomic::Ordering::Relaxed) {
            let mut context = Context::from_waker(&waker);
            if future.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        let woken = || flag.0.load(std::sync::atomic::Ordering::Relaxed);
        run(u64::MAX, woken);
        assert!(woken(), "deadlock: nothing is ready and no timer is set");
    }
    drop(future);
    let result = result.lock().take();
    result.expect("the future has ended")
}

fn pick() -> Option<u64> {
    EXECUTOR.with(|e| {
        let mut ready = e.ready.borrow_mut();
        let at = match ready.len() {
            0 => return None,
            1 => 0,
            n => e
                .rng
                .borrow_mut()
                .as_mut()
                .map_or(0, |rng| rng.random_range(0..n)),
        };
        let id = ready.iter().nth(at).copied()?;
        ready.remove(&id);
        Some(id)
    })
}

fn poll(id: u64) {
    let Some((owner, mut task)) = EXECUTOR.with(|e| e.tasks.borrow_mut().remove(&id)) else {
        return;
    };
    let before = EXECUTOR.with(|e| {
        e.running.set(id);
        e.owner.replace(owner)
    });
    let waker = Waker::from(Arc::new(Ready(id)));
    let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
    EXECUTOR.with(|e| e.owner.set(before));
    let dead = EXECUTOR.with(|e| e.dead.borrow().contains(&owner));
    if polled.is_pending() && !dead {
        EXECUTOR.with(|e| e.tasks.borrow_mut().insert(id, (owner, task)));
    }
}

fn fire(at: u64) {
    let due = EXECUTOR.with(|e| {
        e.now.set(e.now.get().max(at));
        let mut timers = e.timers.borrow_mut();
        let later = timers.split_off(&(at + 1, 0));
        std::mem::replace(&mut *timers, later)
    });
    due.into_values().for_each(Waker::wake);
}

struct Ready(u64);
impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        EXECUTOR.with(|e| {
            e.ready.borrow_mut().insert(self.0);
        });
    }
}

struct Flag(std::sync::atomic::AtomicBool);
impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The runtime as openraft wants it.
#[derive(Debug)]
pub struct Virtual;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct At(u64);

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for At {
    type Output = At;
    fn add(self, by: Duration) -> At {
        At(self.0.saturating_add(nanos(by)))
    }
}
impl AddAssign<Duration> for At {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}
impl Sub<Duration> for At {
    type Output = At;
    fn sub(self, by: Duration) -> At {
        At(self.0.saturating_sub(nanos(by)))
    }
}
impl SubAssign<Duration> for At {
    fn sub_assign(&mut self, by: Duration) {
        *self = *self - by;
    }
}
impl Sub<At> for At {
    type Output = Duration;
    fn sub(self, other: At) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(other.0))
    }
}

impl Instant for At {
    fn now() -> At {
        // Never so early that going back by a lease would stick at zero.
        At(now() + 3_600_000_000_000)
    }
}

/// Resolves at its time. Forgotten when dropped.
pub struct Sleep {
    until: u64,
    timer: Option<u64>,
}

pub fn sleep(duration: Duration) -> Sleep {
    Sleep {
        until: now().saturating_add(nanos(duration)),
        timer: None,
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now() >= self.until {
            return Poll::Ready(());
        }
        let timer = *self.timer.get_or_insert_with(number);
        let waker = context.waker().clone();
        EXECUTOR.with(|e| e.timers.borrow_mut().insert((self.until, timer), waker));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            // The executor may be gone already when a thread ends.
            let _ = EXECUTOR.try_with(|e| {
                if let Ok(mut timers) = e.timers.try_borrow_mut() {
                    timers.remove(&(self.until, timer));
                }
            });
        }
    }
}

#[derive(Debug)]
pub struct Elapsed;
impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("time is up")
    }
}

pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

/// The task is gone: it was killed with its owner.
#[derive(Debug)]
pub struct Gone;
impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task was killed")
    }
}

pub struct JoinHandle<T>(oneshot::Receiver<T>);
impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Gone>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|r| r.map_err(|_| Gone))
    }
}

impl AsyncRuntime for Virtual {
    type JoinError = Gone;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = At;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = Timeout<T>;
    type ThreadLocalRng = ChaCha8Rng;
    type Mpsc = TokioMpsc;
    type Watch = TokioWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: Send + 'static> = TokioMutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let (done, handle) = oneshot::channel();
        let owner = EXECUTOR.with(|e| e.owner.get());
        spawn_for(owner, async move {
            // Nobody may be waiting for it.
            let _ = done.send(future.await);
        });
        JoinHandle(handle)
    }

    fn sleep(duration: Duration) -> Sleep {
        sleep(duration)
    }

    fn sleep_until(deadline: At) -> Sleep {
        sleep(deadline - At::now())
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timeout<F> {
        Timeout {
            future: Box::pin(future),
            sleep: sleep(duration),
        }
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: At, future: F) -> Timeout<F> {
        Self::timeout(deadline - At::now(), future)
    }

    fn is_panic(_: &Gone) -> bool {
        false
    }

    fn thread_rng() -> ChaCha8Rng {
        rng()
    }

    fn new(_threads: usize) -> Self {
        Virtual
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        block_on(future)
    }

    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // There is nothing to wait for: the simulated disk answers at once.
        let result = f();
        async move { Ok(result) }
    }
}
