//! `shoal-shim`: the one small process kept per container.
//!
//! The daemon starts it with a [`Launch`](shoal_node_drivers_shim::Launch) on descriptor 3. It makes the control group
//! and the container's first process, then sits in one epoll loop: it carries the process's input and output, writes its
//! log, serves attach, exec, resize and signals on a unix socket, reaps, and at the end records the exit durably,
//! removes the group and goes. It decides nothing (whether to restart, when to stop), has one thread and no async
//! runtime, and does not notice whether the daemon lives. It dies only with its container; killed, it takes it along.
//!
//! ```text
//! start (launch → running) ─▶ event loop { listener · control · attach · process · out-of-memory } ─▶ finish (exit)
//! ```
//! Called as `docker-init` it is instead the init of `--init` containers ([`init`]).

mod attach;
mod begin;
mod control;
mod event_loop;
mod exec;
mod external;
mod finish;
mod init;
mod log;
mod poll;
mod process;
mod queue;
mod start;

fn main() {
    let name = std::env::args_os().next().unwrap_or_default();
    let code = if std::path::Path::new(&name).file_name() == Some("docker-init".as_ref()) {
        init::run()
    } else {
        match start::run() {
            Ok(()) => 0,
            Err(error) => {
                // Standard error is shim.log in the container's run directory.
                eprintln!("shoal-shim: {error}");
                1
            }
        }
    };
    std::process::exit(code)
}
