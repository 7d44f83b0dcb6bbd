//! Reading one question, writing one reply. Nothing here trusts a length.

use std::net::IpAddr;

pub const RCODE_FORMAT: u8 = 1;
pub const RCODE_SERVER_FAILURE: u8 = 2;
pub const RCODE_NOT_IMPLEMENTED: u8 = 4;
pub const RCODE_REFUSED: u8 = 5;

pub const KIND_A: u16 = 1;
pub const KIND_PTR: u16 = 12;
pub const KIND_AAAA: u16 = 28;
const KIND_OPT: u16 = 41;
pub const KIND_ANY: u16 = 255;
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;

const HEADER_BYTES: usize = 12;
const NAME_BYTES_MAX: usize = 255;
const FLAG_REPLY: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_WANTED: u16 = 0x0100;
const FLAG_RECURSION_THERE: u16 = 0x0080;
const OPCODE: u16 = 0x7800;
/// Without EDNS.
const DATAGRAM_BYTES: usize = 512;
/// What goes through every path without being cut.
const DATAGRAM_BYTES_MAX: usize = 1232;
/// Names change as containers come and go, and to ask again costs some tens of microseconds.
const TTL_SECONDS: u32 = 5;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    pub id: u16,
    flags: u16,
    /// In lower case, without a dot at the end. Empty for the root, and for what no name of ours can be.
    pub name: String,
    pub kind: u16,
    pub class_in: bool,
    /// As it came, name, kind and class.
    question: &'a [u8],
    /// The longest datagram that the asker takes, when it says so.
    edns: Option<u16>,
}

/// Not a question that can be answered; with its id when it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub id: Option<u16>,
    pub rcode: u8,
}

impl<'a> Query<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Query<'a>, Malformed> {
        let id = u16_at(bytes, 0);
        let bad = |rcode| Malformed { id, rcode };
        if bytes.len() < HEADER_BYTES {
            return Err(Malformed {
                id: None,
                rcode: RCODE_FORMAT,
            });
        }
        let word = |at| u16_at(bytes, at).unwrap_or(0);
        let flags = word(2);
        if flags & FLAG_REPLY != 0 {
            // Answers to answers would never end.
            return Err(Malformed {
                id: None,
                rcode: RCODE_FORMAT,
            });
        }
        if flags & OPCODE != 0 {
            return Err(bad(RCODE_NOT_IMPLEMENTED));
        }
        if word(4) != 1 {
            return Err(bad(RCODE_FORMAT));
        }
        let (name, end) = name(bytes, HEADER_BYTES).ok_or(bad(RCODE_FORMAT))?;
        let question = bytes.get(HEADER_BYTES..end + 4).ok_or(bad(RCODE_FORMAT))?;
        let class = word(end + 2);
        Ok(Query {
            id: word(0),
            flags,
            name,
            kind: word(end),
            class_in: matches!(class, CLASS_IN | CLASS_ANY),
            question,
            edns: edns(bytes, end + 4),
        })
    }

    /// A reply with these addresses; fewer, and marked, where the asker's datagram ends before.
    pub fn reply(&self, rcode: u8, answers: &[IpAddr], over_tcp: bool) -> Vec<u8> {
        let mut reply = Reply::new(self, rcode, over_tcp);
        for address in answers {
            let fits = match address {
                IpAddr::V4(v4) => reply.record(KIND_A, &v4.octets()),
                IpAddr::V6(v6) => reply.record(KIND_AAAA, &v6.octets()),
            };
            if !fits {
                break;
            }
        }
        reply.finish(self)
    }

    /// A reply that names the host of an address.
    pub fn reply_name(&self, name: &str, over_tcp: bool) -> Vec<u8> {
        let mut reply = Reply::new(self, 0, over_tcp);
        let mut data = Vec::with_capacity(name.len() + 2);
        for label in name.split('.').filter(|l| !l.is_empty()) {
            // A longer one cannot be written, nor could anybody ask for it.
            let label = &label.as_bytes()[..label.len().min(63)];
            data.push(label.len() as u8);
            data.extend_from_slice(label);
        }
        data.push(0);
        if data.len() <= NAME_BYTES_MAX {
            reply.record(KIND_PTR, &data);
        }
        reply.finish(self)
    }

    /// How long a datagram to this asker may be.
    pub fn datagram_bytes(&self) -> usize {
        match self.edns {
            Some(bytes) => usize::from(bytes).clamp(DATAGRAM_BYTES, DATAGRAM_BYTES_MAX),
            None => DATAGRAM_BYTES,
        }
    }
}

struct Reply {
    bytes: Vec<u8>,
    room: usize,
    count: u16,
    flags: u16,
}

impl Reply {
    fn new(query: &Query<'_>, rcode: u8, over_tcp: bool) -> Reply {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        bytes.extend_from_slice(query.question);
        let room = if over_tcp {
            super::MESSAGE_BYTES_MAX
        } else {
            query.datagram_bytes()
        };
        Reply {
            bytes,
            room,
            count: 0,
            flags: FLAG_REPLY
                | FLAG_RECURSION_THERE
                | query.flags & FLAG_RECURSION_WANTED
                | u16::from(rcode & 0xf),
        }
    }

    /// Of the name that was asked for. Whether there was room for it.
    fn record(&mut self, kind: u16, data: &[u8]) -> bool {
        const FIXED_BYTES: usize = 12;
        const OPT_BYTES: usize = 11;
        if self.bytes.len() + FIXED_BYTES + data.len() + OPT_BYTES > self.room {
            self.flags |= FLAG_TRUNCATED;
            return false;
        }
        // The name stands in the question.
        self.bytes.extend_from_slice(&[0xc0, HEADER_BYTES as u8]);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.bytes.extend_from_slice(&TTL_SECONDS.to_be_bytes());
        self.bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.count += 1;
        true
    }

    fn finish(mut self, query: &Query<'_>) -> Vec<u8> {
        let extra = u16::from(query.edns.is_some());
        if query.edns.is_some() {
            self.bytes.push(0);
            self.bytes.extend_from_slice(&KIND_OPT.to_be_bytes());
            self.bytes
                .extend_from_slice(&(DATAGRAM_BYTES_MAX as u16).to_be_bytes());
            self.bytes.extend_from_slice(&[0; 6]);
        }
        for (at, word) in [
            (0, query.id),
            (2, self.flags),
            (4, 1),
            (6, self.count),
            (8, 0),
            (10, extra),
        ] {
            self.bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
        self.bytes
    }
}

/// A reply to what cannot be answered, from the bytes that came: the question is left out.
pub fn failure(id: u16, rcode: u8) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes[2..4].copy_from_slice(&(FLAG_REPLY | FLAG_RECURSION_THERE | u16::from(rcode)).to_be_bytes());
    bytes
}

/// A name at `at` and where it ends. A question's name is never compressed.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let begin = at;
    let mut text = String::new();
    let mut ours = true;
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        at += length;
        if at - begin > NAME_BYTES_MAX {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        match std::str::from_utf8(label) {
            Ok(label) if !label.contains('.') => text.push_str(label),
            _ => ours = false,
        }
    }
    text.make_ascii_lowercase();
    Some((if ours { text } else { String::new() }, at))
}

/// The size that an OPT record among the additional ones names. Only the usual place is looked at: right behind the question.
fn edns(bytes: &[u8], at: usize) -> Option<u16> {
    let counts = [u16_at(bytes, 6)?, u16_at(bytes, 8)?, u16_at(bytes, 10)?];
    let here = counts[0] == 0 && counts[1] == 0 && counts[2] > 0;
    let opt = here && *bytes.get(at)? == 0 && u16_at(bytes, at + 1)? == KIND_OPT;
    opt.then(|| u16_at(bytes, at + 3)).flatten()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.').filter(|l| !l.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    #[test]
    fn a_question_is_read_and_answered_with_itself() {
        let bytes = query("Web.Example", KIND_A);
        let read = Query::parse(&bytes).unwrap();
        assert_eq!(
            (read.name.as_str(), read.kind, read.id),
            ("web.example", KIND_A, 0x1234)
        );
        let reply = read.reply(0, &["10.0.0.1".parse().unwrap()], false);
        assert_eq!(&reply[..12], [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(&reply[12..bytes.len()], &bytes[12..]);
        assert_eq!(
            &reply[bytes.len()..],
            [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 1]
        );
    }

    #[test]
    fn edns_is_answered_and_long_replies_are_cut() {
        let many: Vec<IpAddr> = (0..100).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let mut bytes = query("web", KIND_A);
        let plain = Query::parse(&bytes).unwrap().reply(0, &many, false);
        assert!(plain.len() <= 512 && plain[2] & 2 != 0 && plain[7] > 20);
        let whole = Query::parse(&bytes).unwrap().reply(0, &many, true);
        assert!(whole[2] & 2 == 0 && whole[7] == 100);
        bytes[11] = 1;
        bytes.extend_from_slice(&[0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        let with = Query::parse(&bytes).unwrap().reply(0, &many, false);
        assert!(with.len() > 512 && with.len() <= 1232 && with[11] == 1);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let good = query("web", KIND_A);
        for cut in 0..good.len() {
            assert!(Query::parse(&good[..cut]).is_err(), "{cut}");
        }
        let mut reply = good.clone();
        reply[2] |= 0x80;
        assert_eq!(Query::parse(&reply).unwrap_err().id, None);
        let mut notify = good.clone();
        notify[2] |= 0x20;
        assert_eq!(Query::parse(&notify).unwrap_err().rcode, RCODE_NOT_IMPLEMENTED);
        let mut looped = good.clone();
        looped[12] = 0xc0;
        assert!(Query::parse(&looped).is_err());
        // A dot inside of a label is not the end of one.
        let mut dotted = good;
        dotted[14] = b'.';
        assert_eq!(Query::parse(&dotted).unwrap().name, "");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), over_tcp: bool) {
            if let Ok(query) = Query::parse(&bytes) {
                let reply = query.reply(0, &["10.0.0.1".parse().unwrap()], over_tcp);
                prop_assert!(reply.len() >= 12);
                query.reply_name(&query.name, over_tcp);
            }
        }
    }
}
