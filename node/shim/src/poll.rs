//! The one epoll, with tokens that say what a descriptor is.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, Result};

/// What a descriptor is. Keys are never used twice, so a late event finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Listener,
    OutOfMemory,
    /// A control connection.
    Control(u32),
    /// An attached client.
    Client(u32),
    /// The end of a process.
    End(u32),
    /// Its output: 0 is stdout or the terminal, 1 is stderr.
    Output(u32, u8),
    /// Room in its input.
    Input(u32),
    /// Some child has ended.
    Children,
}

impl Token {
    fn number(self) -> u64 {
        let (kind, key, extra) = match self {
            Token::Listener => (0, 0, 0),
            Token::OutOfMemory => (1, 0, 0),
            Token::Control(key) => (2, key, 0),
            Token::Client(key) => (3, key, 0),
            Token::End(key) => (4, key, 0),
            Token::Output(key, stream) => (5, key, stream),
            Token::Input(key) => (6, key, 0),
            Token::Children => (7, 0, 0),
        };
        kind << 40 | u64::from(extra) << 32 | u64::from(key)
    }

    fn of(number: u64) -> Self {
        let key = number as u32;
        match number >> 40 {
            0 => Token::Listener,
            1 => Token::OutOfMemory,
            2 => Token::Control(key),
            3 => Token::Client(key),
            4 => Token::End(key),
            5 => Token::Output(key, (number >> 32) as u8),
            6 => Token::Input(key),
            _ => Token::Children,
        }
    }
}

pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(32),
        })
    }

    pub fn add(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token.number()), flags)
    }

    pub fn set(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> Result<()> {
        epoll::modify(&self.epoll, fd, EventData::new_u64(token.number()), flags)
    }

    /// Forget a descriptor; one that is not watched is fine.
    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Sleep until something happens or the time is over.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<Vec<(Token, EventFlags)>> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        Ok(self
            .events
            .iter()
            .map(|e| (Token::of(e.data.u64()), e.flags))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back() {
        for token in [
            Token::Listener,
            Token::OutOfMemory,
            Token::Control(u32::MAX),
            Token::Client(7),
            Token::End(0),
            Token::Output(u32::MAX, 1),
            Token::Input(3),
            Token::Children,
        ] {
            assert_eq!(Token::of(token.number()), token);
        }
    }
}
