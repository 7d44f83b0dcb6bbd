//! Noticing that somebody else deleted a bridge, took it down, or took its address.

use std::os::fd::{AsFd, BorrowedFd};

use super::{LINK_HEAD_BYTES, UP, parse};
use crate::error::Result;
use crate::netlink::{Family, Message, Socket};

const ADDRESS_HEAD_BYTES: usize = 8;

/// A descriptor that becomes readable when a link or an address of the host may have gone; then ask
/// [`LinkWatch::touched`].
#[derive(Debug)]
pub struct LinkWatch {
    socket: Socket,
}

impl LinkWatch {
    /// Of the calling thread's network namespace.
    pub fn open() -> Result<LinkWatch> {
        let socket = Socket::open(Family::Route)?;
        socket.accept_only(&filter())?;
        socket.join_groups(&[libc::RTNLGRP_LINK as i32, libc::RTNLGRP_IPV4_IFADDR as i32])?;
        Ok(LinkWatch { socket })
    }

    /// Takes the notices that wait and answers whether one speaks of one of the bridges, or whether some were lost.
    pub fn touched(&mut self, bridges: &[String]) -> Result<bool> {
        let Some(notices) = self.socket.notices()? else {
            return Ok(true);
        };
        Ok(notices
            .iter()
            .filter_map(lost)
            .any(|name| bridges.contains(&name)))
    }
}

/// The interface that a notice says is gone, down, or without an address that it had.
fn lost(notice: &Message) -> Option<String> {
    match notice.kind {
        libc::RTM_DELADDR => {
            let attributes = notice.attributes(ADDRESS_HEAD_BYTES);
            attributes.text(libc::IFA_LABEL).map(str::to_owned)
        }
        libc::RTM_DELLINK => notice
            .attributes(LINK_HEAD_BYTES)
            .text(libc::IFLA_IFNAME)
            .map(str::to_owned),
        libc::RTM_NEWLINK => parse(notice).filter(|shown| !shown.up).map(|shown| shown.name),
        _ => None,
    }
}

/// Containers come and go with a dozen notices each; the kernel passes over those that say that something is there.
///
/// A notice is one message: its kind is the half word at 4, the interface's flags the word at 24. Both are in the host's
/// order, and a filter loads them in the network's.
fn filter() -> [libc::sock_filter; 8] {
    let load = |size: u32, at: u32| step(libc::BPF_LD | size | libc::BPF_ABS, at, 0, 0);
    let equal =
        |kind: u16, yes: u8, no: u8| step(libc::BPF_JMP | libc::BPF_JEQ, u32::from(kind.to_be()), yes, no);
    let answer = |bytes: u32| step(libc::BPF_RET, bytes, 0, 0);
    [
        load(libc::BPF_H, 4),
        equal(libc::RTM_DELLINK, 5, 0),
        equal(libc::RTM_DELADDR, 4, 0),
        equal(libc::RTM_NEWLINK, 0, 2),
        load(libc::BPF_W, 24),
        step(libc::BPF_JMP | libc::BPF_JSET, UP.to_be(), 0, 1),
        answer(0),
        answer(u32::MAX),
    ]
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
