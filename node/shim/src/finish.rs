//! Ends: of an exec, and of the container.

use std::time::{Instant, SystemTime};

use shoal_node_drivers_shim::{Exit, Notice, SOCKET_NAME, STATE_NAME, write_exit};

use crate::event_loop::{CONTAINER, ENDED_MAX, EventLoop};

/// Reads of what is left in a pipe at the end. A pipe holds at most a megabyte unless somebody still writes to it.
const DRAIN_READS_MAX: u32 = 64;

impl EventLoop {
    /// Process `key` has something to tell about its life.
    pub fn ended(&mut self, key: u32) {
        let Some(code) = self.processes.get(&key).and_then(|p| p.reap()) else {
            return;
        };
        if key == CONTAINER {
            self.container_ended(code);
        } else {
            self.exec_ended(key, code);
        }
    }

    fn exec_ended(&mut self, key: u32, code: i32) {
        self.drain(key);
        let Some(process) = self.processes.remove(&key) else {
            return;
        };
        self.poll.remove(&process.pidfd);
        let exit = Exit {
            code,
            oom_killed: false,
            finished_at: SystemTime::now(),
            error: None,
        };
        let id = process.exec.unwrap_or_default();
        if self.container.ended.len() == ENDED_MAX {
            self.container.ended.pop_front();
        }
        self.container.ended.push_back((id.clone(), exit.clone()));
        self.notify(&Notice::ExecExited { id, exit });
        self.close_clients_of(key);
    }

    pub fn container_ended(&mut self, code: i32) {
        let finished_at = SystemTime::now();
        if !self.container.own_pids
            && let Some(group) = &self.container.cgroup
            && let Err(error) = group.kill()
        {
            eprintln!("shoal-shim: {error}");
        }
        // Execs have died with it; whoever waits for one hears of it first.
        let execs: Vec<u32> = self
            .processes
            .keys()
            .copied()
            .filter(|&key| key != CONTAINER)
            .collect();
        for key in execs {
            let code = self.processes.get(&key).and_then(|p| p.reap()).unwrap_or(137);
            self.exec_ended(key, code);
        }
        self.drain(CONTAINER);
        self.processes.remove(&CONTAINER);
        self.close_clients_of(CONTAINER);
        self.log.finish(finished_at);
        if let Some(state) = self.log.news(true) {
            self.tell_log(state);
        }
        let mut exit = Exit {
            code,
            oom_killed: false,
            finished_at,
            error: None,
        };
        if let Some(oom) = self.container.oom.take() {
            self.poll.remove(&oom);
        }
        let group = self.container.cgroup.take();
        let kills = group.as_ref().map_or(0, |group| group.oom_kills().unwrap_or(0));
        if let Some(external) = self.container.external.take() {
            external.delete();
        }
        if let Some(group) = group {
            exit.oom_killed = kills > 0;
            if exit.oom_killed && self.container.oom_kills == 0 {
                // The end came before the kernel's notice of its reason.
                self.notify(&Notice::OutOfMemory);
            }
            if let Err(error) = group.delete() {
                eprintln!("shoal-shim: {error}");
            }
        }
        if let Err(error) = write_exit(&self.container.exit_file, &exit) {
            // Not tried again: after a failed fsync the kernel may have dropped the pages. Those who listen still
            // hear of it, with the reason.
            exit.error = Some(format!(
                "record the exit in {}: {error}",
                self.container.exit_file.display()
            ));
            eprintln!("shoal-shim: {}", exit.error.as_deref().unwrap_or_default());
        }
        // Whoever asks from now on reads the file.
        for name in [SOCKET_NAME, STATE_NAME] {
            let _ = std::fs::remove_file(self.container.run_dir.join(name));
        }
        self.notify(&Notice::Exited(exit));
        self.over = Some(Instant::now());
    }

    /// Read what is left, whether clients keep up or not.
    fn drain(&mut self, key: u32) {
        for stream in 0..2 {
            for _ in 0..DRAIN_READS_MAX {
                if !self.read_output(key, stream) {
                    break;
                }
            }
        }
    }
}
