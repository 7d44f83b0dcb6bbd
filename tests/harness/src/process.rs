//! Running programs, and ending whole families of processes.

use std::collections::VecDeque;
use std::process::{Command, Output};

/// Runs to the end and returns status and output.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"))
}

/// Runs to the end, fails the test unless it succeeded, and returns standard output without the final newline.
pub fn run_ok(command: &mut Command) -> String {
    let out = run(command);
    assert!(
        out.status.success(),
        "{command:?} ended with {}\nstdout: {}\nstderr: {}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

/// `roots` and all that descend from them, as far as they live.
pub fn family(roots: &[u32]) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next: VecDeque<u32> = roots.iter().copied().collect();
    while let Some(pid) = next.pop_front() {
        found.push(pid);
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            if let Ok(children) = std::fs::read_to_string(task.path().join("children")) {
                next.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
            }
        }
    }
    found
}

/// SIGKILL to the whole family at once: what a power cut does to a host's processes.
pub fn kill_family(roots: &[u32]) {
    for pid in family(roots) {
        if let Ok(pid) = i32::try_from(pid) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}
