//! Running another process in the container.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use shoal_node_drivers_runtime::{Child, Error, Stdio, exec};
use shoal_node_drivers_shim::{Attach, Exec, Reply, Running, StartError, start_ticks};

use crate::event_loop::{CONTAINER, EventLoop, Gate};
use crate::process::{Ends, Process, streams};

/// A process that has not come to its exec by then never will: its group is frozen.
const PREPARE_MAX: Duration = Duration::from_secs(10);

impl EventLoop {
    pub fn exec(&mut self, id: u32, exec: Exec) {
        let attach = exec.attach;
        match self.make_exec(exec) {
            Ok((key, running)) => {
                let reply = Reply::Started(running);
                if attach.any() {
                    self.become_stream(id, key, attach, reply);
                } else {
                    self.reply(id, reply);
                }
                self.watch_process(key);
            }
            Err(reply) => self.reply(id, reply),
        }
    }

    fn make_exec(&mut self, exec: Exec) -> Result<(u32, Running), Reply> {
        let Some(container) = self
            .processes
            .get(&CONTAINER)
            .filter(|_| matches!(self.container.gate, Gate::Open))
        else {
            return Err(Reply::Refused("the container is not running".into()));
        };
        if self.processes.values().any(|p| p.exec.as_ref() == Some(&exec.id)) {
            return Err(Reply::Refused(format!("exec {} is already running", exec.id)));
        }
        let not_started = |e: Error| {
            Reply::NotStarted(StartError {
                code: e.code,
                message: e.message,
            })
        };
        let (stdio, ends) = if exec.tty {
            (Stdio::Terminal(exec.size), Ends::default())
        } else {
            streams(exec.attach).map_err(|e| Reply::Refused(format!("make pipes: {e}")))?
        };
        let input_once = exec.attach.stdin;
        if let Some(external) = &self.container.external {
            let made = external.exec(&exec.process, stdio).map_err(Reply::NotStarted)?;
            let process = Process::over(
                Some(exec.id),
                (made.pid, made.pidfd),
                made.console,
                ends,
                input_once,
            );
            let process = process.map_err(|e| Reply::Refused(format!("keep the exec's streams: {e}")))?;
            return Ok(self.keep_exec(process));
        }
        let group = self.container.cgroup.as_ref();
        let birth = group.and_then(|g| g.dir_fd());
        let join = group.map_or(Ok(Vec::new()), |g| g.join_files());
        let join = join.map_err(|e| Reply::Refused(e.to_string()))?;
        let config = exec::Config {
            target: container.pidfd.as_fd(),
            target_pid: container.pid,
            process: &exec.process,
            stdio,
            seccomp: self.container.seccomp.clone().filter(|_| !exec.unconfined),
            cgroup: birth,
            join,
        };
        // SAFETY: the shim has one thread.
        let mut child = unsafe { exec::spawn(config) }.map_err(not_started)?;
        let settle = |child: &mut Child| -> Result<(), Error> {
            child.limit_waits(PREPARE_MAX)?;
            // Said at once: the process does not have to stop at its gate.
            child.go()?;
            child.wait_ready()?;
            child.wait_exec()
        };
        if let Err(error) = settle(&mut child) {
            child.kill();
            return Err(not_started(error));
        }
        let process = Process::new(Some(exec.id), &mut child, ends, input_once).map_err(|e| {
            child.kill();
            Reply::Refused(format!("keep the exec's streams: {e}"))
        })?;
        Ok(self.keep_exec(process))
    }

    fn keep_exec(&mut self, process: Process) -> (u32, Running) {
        let running = Running {
            pid: process.pid,
            start_ticks: start_ticks(process.pid).unwrap_or(0),
            started_at: SystemTime::now(),
        };
        let key = self.new_key();
        self.processes.insert(key, process);
        (key, running)
    }

    /// Which streams the container itself has pipes for.
    pub fn container_streams(open_stdin: bool) -> Attach {
        Attach {
            stdin: open_stdin,
            stdout: true,
            stderr: true,
        }
    }
}
