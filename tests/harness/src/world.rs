//! A switch and the hosts plugged into it.

use crate::host::Host;
use crate::process::{run, run_ok};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the crate's text. Several worlds live side by side: names and subnets carry the process id and a counter.
pub struct World {
    tag: String,
    dir: PathBuf,
    net: u8,
    hosts: u8,
}

static WORLDS: AtomicU32 = AtomicU32::new(0);

impl World {
    pub fn new() -> World {
        let pid = std::process::id();
        let count = WORLDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("shoal-t{pid}x{count}");
        let dir = std::env::temp_dir().join(&tag);
        std::fs::create_dir_all(&dir).expect("a scratch folder");
        run_ok(Command::new("ip").args(["netns", "add", &tag]));
        for line in ["link add sw type bridge", "link set sw up", "link set lo up"] {
            run_ok(Command::new("ip").args(["-n", &tag]).args(line.split(' ')));
        }
        // Hosts of different worlds never meet, so the same subnet may serve them all.
        World {
            tag,
            dir,
            net: 84,
            hosts: 0,
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A further host: its namespace and cable are there, its daemon is not started yet.
    pub fn host(&mut self) -> Host {
        self.hosts += 1;
        let n = self.hosts;
        let netns = format!("{}n{n}", self.tag);
        let address = format!("10.{}.0.{}", self.net, 10 + n);
        run_ok(Command::new("ip").args(["netns", "add", &netns]));
        let port = format!("p{n}");
        let in_switch = |args: &[&str]| run_ok(Command::new("ip").args(["-n", &self.tag]).args(args));
        in_switch(&[
            "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &netns,
        ]);
        in_switch(&["link", "set", &port, "master", "sw", "up"]);
        for line in [
            "link set lo up",
            "link set eth0 up",
            &format!("address add {address}/24 dev eth0"),
        ] {
            run_ok(Command::new("ip").args(["-n", &netns]).args(line.split(' ')));
        }
        run(Command::new("ip").args([
            "-n",
            &netns,
            "route",
            "add",
            "default",
            "via",
            &format!("10.{}.0.1", self.net),
        ]));
        Host::new(n, netns, address, self.dir.join(format!("n{n}")))
    }

    /// Pulls a host's cable out (`up` false) or plugs it in again.
    pub fn cable(&self, host: &Host, up: bool) {
        let state = if up { "up" } else { "down" };
        run_ok(Command::new("ip").args([
            "-n",
            &self.tag,
            "link",
            "set",
            &format!("p{}", host.number),
            state,
        ]));
    }
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        run(Command::new("ip").args(["netns", "del", &self.tag]));
        if std::env::var_os("SHOAL_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
