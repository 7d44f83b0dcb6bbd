//! Hosts for tests: network namespaces with real daemons in them, and real clients that talk to them.
//!
//! A [`World`] is a switch (a bridge in a namespace of its own) with [`Host`]s plugged into it. Each host has an
//! address, a host name, a data root and a daemon. Dropping the world removes every trace of it, also when a test
//! fails. Only the tests import this crate; it knows Shoal's binaries and nothing of its code.

mod api;
mod host;
mod image;
mod process;
mod registry;
mod world;

pub use api::{Answer, request, request_raw};
pub use host::Host;
pub use image::{busybox_tar, tar_of};
pub use process::{family, kill_family, run, run_ok};
pub use registry::{Guests, Registry};
pub use world::World;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the built binaries are: `SHOAL_TEST_BIN`, else the target folder that this test was built into.
pub fn binary(name: &str) -> PathBuf {
    let dir = std::env::var_os("SHOAL_TEST_BIN")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let test = std::env::current_exe().expect("a test knows its own path");
            test.parent()
                .and_then(|deps| deps.parent())
                .expect("tests live in target/…/deps")
                .to_path_buf()
        });
    let path = dir.join(name);
    assert!(
        path.exists(),
        "{} is not built: cargo build --workspace --bins",
        path.display()
    );
    path
}

/// The stock docker CLI: `DOCKER`, else the one on the path.
pub fn docker() -> String {
    std::env::var("DOCKER").unwrap_or_else(|_| "docker".into())
}

/// Waits until `done` answers something, looking every few milliseconds; says what it waited for when it gives up.
pub fn eventually<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = done() {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
