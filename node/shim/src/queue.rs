//! Bytes that wait to be written to a socket or pipe.

use std::os::fd::AsFd;

use rustix::io::Errno;

#[derive(Default)]
pub struct Queue {
    bytes: Vec<u8>,
    /// How much of `bytes` is written already.
    done: usize,
}

/// What a write did.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nothing is left.
    Empty,
    /// The other side takes no more for now.
    Full,
    /// The other side is gone.
    Gone,
}

/// A buffer that grew beyond this is given back when it is empty.
const KEPT_MAX: usize = 4096;

impl Queue {
    pub fn len(&self) -> usize {
        self.bytes.len() - self.done
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.done > 0 {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Write as much as goes.
    pub fn flush(&mut self, to: impl AsFd) -> Flow {
        while self.done < self.bytes.len() {
            match rustix::io::write(&to, &self.bytes[self.done..]) {
                Ok(written) => self.done += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Flow::Full,
                Err(_) => return Flow::Gone,
            }
        }
        self.done = 0;
        if self.bytes.capacity() > KEPT_MAX {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
        Flow::Empty
    }

    /// Write `head` and `body`, queueing what does not go at once. Order is kept.
    pub fn send(&mut self, to: impl AsFd, head: &[u8], body: &[u8]) -> Flow {
        let mut written = 0;
        if self.is_empty() {
            let parts = [std::io::IoSlice::new(head), std::io::IoSlice::new(body)];
            match rustix::io::writev(&to, if head.is_empty() { &parts[1..] } else { &parts }) {
                Ok(count) => written = count,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return Flow::Gone,
            }
        }
        if written == head.len() + body.len() {
            return Flow::Empty;
        }
        if written < head.len() {
            self.push(&head[written..]);
            self.push(body);
        } else {
            self.push(&body[written - head.len()..]);
        }
        self.flush(to)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn nothing_is_lost_when_the_reader_is_slow() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut queue = Queue::default();
        let piece = vec![7u8; 100_000];
        let mut sent = 0;
        while queue.send(&ours, b"head", &piece) == Flow::Empty {
            sent += piece.len() + 4;
        }
        sent += piece.len() + 4;
        assert!(!queue.is_empty());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        while queue.flush(&ours) == Flow::Full {
            std::thread::yield_now();
        }
        drop(ours);
        let all = reader.join().unwrap();
        assert_eq!(all.len(), sent);
        assert_eq!(&all[..5], b"head\x07");
    }

    #[test]
    fn a_reader_that_went_is_noticed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut queue = Queue::default();
        assert_eq!(queue.send(&ours, b"", b"x"), Flow::Gone);
    }
}
