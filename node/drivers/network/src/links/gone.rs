//! Taking interfaces away. The kernel works at that for some tens of milliseconds, and waits until no processor of the host
//! can still see them; who asked need not.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{LINK_HEAD_BYTES, Links, check_name, link, link_head, parse};
use crate::error::{Error, Result};
use crate::netlink::{Family, Message, Request, Socket};

/// What is waited for at most, when the kernel gives no notice.
const WAIT: Duration = Duration::from_millis(250);
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// How far a removal is when whoever asked goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It has begun: whoever asks the kernel for interfaces has to wait, and then does not find it.
    Begun,
    /// Nobody finds it.
    Unlisted,
}

impl Links {
    /// Removes an interface and waits for all of it; one that is not there is no error. A cable goes with both ends.
    /// Nobody who plugs meanwhile waits.
    pub fn remove(&self, name: &str) -> Result<()> {
        delete(name)
    }

    /// As [`Links::remove`], but answers sooner.
    pub fn remove_soon(&self, name: &str, until: Until) -> Result<()> {
        check_name(name)?;
        if link(&mut Socket::open(Family::Route)?, name)?.is_none() {
            return Ok(());
        }
        let mut notices = Socket::open(Family::Route)?;
        notices.join_groups(&[libc::RTNLGRP_LINK as i32])?;
        let deleting = {
            let name = name.to_owned();
            std::thread::Builder::new()
                .name("gone".into())
                .stack_size(128 * 1024)
                .spawn(move || delete(&name))
                .map_err(|e| Error::io("start a thread", e))?
        };
        let begin = Instant::now();
        while !deleting.is_finished() && begin.elapsed() < WAIT {
            let _ = poll(&mut [PollFd::new(&notices, PollFlags::IN)], Some(&LOOK));
            let heard = notices.notices()?.unwrap_or_default();
            if heard.iter().any(|notice| tells(notice, name, until)) {
                return Ok(());
            }
        }
        deleting.join().unwrap_or_else(|_| {
            Err(Error::Invalid(
                "a thread that removes an interface panicked".into(),
            ))
        })
    }
}

fn tells(notice: &Message, name: &str, until: Until) -> bool {
    // A bridge tells of its ports in words of its own family.
    let of_link = notice.body.first() == Some(&0);
    let of_it = of_link && notice.attributes(LINK_HEAD_BYTES).text(libc::IFLA_IFNAME) == Some(name);
    match notice.kind {
        libc::RTM_DELLINK => of_it,
        libc::RTM_NEWLINK => of_it && until == Until::Begun && parse(notice).is_some_and(|shown| !shown.up),
        _ => false,
    }
}

fn delete(name: &str) -> Result<()> {
    check_name(name)?;
    let mut request = Request::new();
    request.begin(libc::RTM_DELLINK, 0, &link_head(0, 0, 0));
    request.put_text(libc::IFLA_IFNAME, name);
    // A socket of its own: the one that all share would be taken for as long as the kernel waits.
    match Socket::open(Family::Route)?.exchange(&mut request, |_| format!("remove interface {name}")) {
        Err(e) if !e.is_not_found() => Err(e),
        _ => Ok(()),
    }
}
