//! The init of `--init` containers: starts the command in a process group of its own, passes signals on, reaps whatever
//! is left to it, and ends as the command ends.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// Faults of this process itself, and stops that only concern its own terminal, are not passed on.
const OWN: [i32; 9] = [
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGABRT,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

pub fn run() -> i32 {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|first| first == "--") {
        args.remove(0);
    }
    let args: Vec<CString> = args
        .into_iter()
        .filter_map(|a| CString::new(a.into_vec()).ok())
        .collect();
    let Some(program) = args.first() else {
        eprintln!("docker-init: no command");
        return 1;
    };
    // SAFETY: a signal set is plain data, filled right here.
    let mut wanted = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: as above.
    let mut before = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: both sets are live.
    unsafe {
        libc::sigfillset(&mut wanted);
        for signal in OWN {
            libc::sigdelset(&mut wanted, signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &wanted, &mut before);
        // A background process that takes the terminal must not be stopped for it.
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        libc::signal(libc::SIGTTIN, libc::SIG_IGN);
    }
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child < 0 {
        eprintln!("docker-init: fork: {}", std::io::Error::last_os_error());
        return 1;
    }
    if child == 0 {
        exec(program, &args, &before);
    }
    serve(child, &wanted)
}

/// The child: become the command.
fn exec(program: &CString, args: &[CString], mask: &libc::sigset_t) -> ! {
    let argv: Vec<*const libc::c_char> = args
        .iter()
        .map(|a| a.as_ptr())
        .chain(std::iter::once(std::ptr::null()))
        .collect();
    // SAFETY: numbers, live sets, and an array that ends in null; this process has one thread.
    unsafe {
        libc::setpgid(0, 0);
        if libc::isatty(0) == 1 {
            libc::tcsetpgrp(0, libc::getpgrp());
        }
        for signal in [libc::SIGTTOU, libc::SIGTTIN, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut());
        libc::execvp(program.as_ptr(), argv.as_ptr());
    }
    let error = std::io::Error::last_os_error();
    eprintln!(
        "[FATAL docker-init] exec {} failed: {error}",
        program.to_string_lossy()
    );
    let code = if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    // SAFETY: ends this process.
    unsafe { libc::_exit(code) }
}

/// Pass on what comes, reap what ends, until the command has ended.
fn serve(child: libc::pid_t, wanted: &libc::sigset_t) -> i32 {
    loop {
        // SAFETY: the set is live, and nobody asks for details.
        let signal = unsafe { libc::sigwaitinfo(wanted, std::ptr::null_mut()) };
        match signal {
            libc::SIGCHLD => {}
            signal if signal > 0 => {
                // SAFETY: takes numbers only; the child is ours and not yet reaped.
                unsafe { libc::kill(child, signal) };
                continue;
            }
            _ => continue,
        }
        let mut ended = None;
        loop {
            let mut status = 0;
            // SAFETY: `status` is live.
            let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            if pid <= 0 {
                break;
            }
            if pid == child {
                ended = Some(if libc::WIFSIGNALED(status) {
                    128 + libc::WTERMSIG(status)
                } else {
                    libc::WEXITSTATUS(status)
                });
            }
        }
        if let Some(code) = ended {
            return code;
        }
    }
}
