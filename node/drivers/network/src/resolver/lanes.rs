//! Who answers which datagram: a question is answered on the processor that it was asked on.
//!
//! A container's sockets share one port, one socket for each lane, and the kernel puts a datagram into the socket of the
//! processor that it is sent from. Whoever asks then waits for a thread that is next on its own processor; to wake one on
//! another that sleeps, and be woken from there, costs many times what the answer does.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Error, Result};

/// Where a host has more processors some share a lane: each lane costs every container a socket.
const LANES_MAX: usize = 8;

/// As many as processors that the daemon may use, up to a limit; 1 where the kernel does not say.
pub(super) fn count() -> usize {
    sched_getaffinity(None).map_or(1, |may| (may.count() as usize).clamp(1, LANES_MAX))
}

/// The processors whose questions come to a lane, of those that may be used. Empty is no bond at all.
fn processors(lane: usize, lanes: usize, may: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    may.filter(move |processor| processor % lanes == lane)
}

/// Binds the calling thread to its lane's processors; where that is refused it answers from anywhere.
pub(super) fn keep_to(lane: usize, lanes: usize) {
    let Ok(may) = sched_getaffinity(None) else { return };
    let mut set = CpuSet::new();
    for processor in processors(lane, lanes, (0..CpuSet::MAX_CPU).filter(|at| may.is_set(*at))) {
        set.set(processor);
    }
    if set.count() > 0 {
        let _ = sched_setaffinity(None, &set);
    }
}

/// Tells the kernel which of the sockets, in the order in which they were bound, a datagram is for. They are bound to one
/// port. Without this it would choose by the asker's port, which is right too, only slower.
pub(super) fn divide(sockets: &[UdpSocket]) -> Result<()> {
    let Some(first) = sockets.first() else {
        return Ok(());
    };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let modulo = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | BPF_A) as u16;
    let step = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let program = [
        step(load, (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32),
        step(modulo, sockets.len() as u32),
        step(give, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the program outlives the call, which copies it and changes nothing; its length is what we say.
    let result = unsafe {
        libc::setsockopt(
            first.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Error::io(
            "divide a container's questions among processors",
            std::io::Error::last_os_error(),
        )),
    }
}

/// The accumulator is the answer.
const BPF_A: u32 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_has_one_lane() {
        for (lanes, may) in [
            (1, vec![0]),
            (2, vec![0, 1]),
            (2, vec![4, 7]),
            (8, (0..20).collect()),
        ] {
            let mut of_all: Vec<usize> = (0..lanes)
                .flat_map(|lane| processors(lane, lanes, may.iter().copied()))
                .collect();
            of_all.sort_unstable();
            assert_eq!(of_all, may, "{lanes} lanes");
        }
        assert_eq!(processors(1, 2, [0, 2].into_iter()).count(), 0);
    }
}
