//! Cuts what a container prints into lines, and lines that are too long into pieces, as Docker's own copier does.

use crate::record::{Partial, Stream};

/// A longer line is cut into pieces of this size.
const LINE_MAX: usize = 16 * 1024;

/// What becomes one record.
pub(crate) struct Piece<'a> {
    /// With its newline, unless the line goes on.
    pub text: &'a [u8],
    /// Nanoseconds since 1970.
    pub time: u64,
    pub partial: Option<Partial>,
}

#[derive(Debug, Default)]
pub(crate) struct Cutter {
    open: [Open; 2],
}

/// A line of a stream that is not complete yet.
#[derive(Debug, Default)]
struct Open {
    bytes: Vec<u8>,
    /// Its first piece was written already: when, and how many pieces.
    begun: Option<(u64, u32)>,
}

impl Open {
    fn partial(&mut self, now: u64, ends: bool) -> (u64, Option<Partial>) {
        let Some((begun, count)) = self.begun else {
            if ends {
                return (now, None);
            }
            self.begun = Some((now, 1));
            let first = Partial {
                id: now,
                ordinal: 1,
                last: false,
            };
            return (now, Some(first));
        };
        let partial = Partial {
            id: begun,
            ordinal: count + 1,
            last: ends,
        };
        self.begun = (!ends).then_some((begun, count + 1));
        // Docker stamps all pieces with the time of the first.
        (begun, Some(partial))
    }
}

impl Cutter {
    /// Gives every line and piece that `data` completes.
    pub fn cut<E>(
        &mut self,
        stream: Stream,
        mut data: &[u8],
        now: u64,
        mut put: impl FnMut(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let open = &mut self.open[stream as usize];
        while !data.is_empty() {
            let room = LINE_MAX - open.bytes.len();
            let window = &data[..data.len().min(room)];
            let end = match memchr::memchr(b'\n', window) {
                Some(newline) => newline + 1,
                None if window.len() == room => room,
                None => {
                    open.bytes.extend_from_slice(window);
                    break;
                }
            };
            let (now_text, rest) = data.split_at(end);
            data = rest;
            let (time, partial) = open.partial(now, now_text.last() == Some(&b'\n'));
            if open.bytes.is_empty() {
                put(Piece {
                    text: now_text,
                    time,
                    partial,
                })?;
            } else {
                let mut line = std::mem::take(&mut open.bytes);
                line.extend_from_slice(now_text);
                let put_it = put(Piece {
                    text: &line,
                    time,
                    partial,
                });
                line.clear();
                open.bytes = line;
                put_it?;
            }
        }
        Ok(())
    }

    /// Gives the last line of a stream that ended without a newline.
    pub fn finish<E>(
        &mut self,
        stream: Stream,
        now: u64,
        put: impl FnOnce(Piece<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let open = &mut self.open[stream as usize];
        let line = std::mem::take(&mut open.bytes);
        if line.is_empty() {
            return Ok(());
        }
        let (time, partial) = open.partial(now, false);
        put(Piece {
            text: &line,
            time,
            partial,
        })
    }

    /// Gives memory back.
    pub fn relax(&mut self) {
        for open in &mut self.open {
            open.bytes.shrink_to_fit();
        }
    }
}
