//! Reading netlink messages. Nothing here trusts a length: what does not fit ends the walk.

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_MASK: u16 = 0x3fff;

/// One message, without its netlink header.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// Who caused it: in notices the port of the socket whose request it was.
    pub port: u32,
    pub body: Vec<u8>,
}

impl Message {
    /// The messages of one datagram.
    pub fn split(mut bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(header) = bytes.get(..HEADER_BYTES) {
            let length = u32_at(header, 0) as usize;
            let Some(body) = bytes.get(HEADER_BYTES..length) else {
                break;
            };
            messages.push(Message {
                kind: u16_at(header, 4),
                flags: u16_at(header, 6),
                sequence: u32_at(header, 8),
                port: u32_at(header, 12),
                body: body.to_vec(),
            });
            bytes = bytes.get(align(length)..).unwrap_or_default();
        }
        messages
    }

    /// The attributes behind a family header of `head` bytes.
    pub fn attributes(&self, head: usize) -> Attributes<'_> {
        Attributes(self.body.get(align(head)..).unwrap_or_default())
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        self.body.get(at..at + 4).map(|bytes| u32_at(bytes, 0))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut bytes = self.0;
        std::iter::from_fn(move || {
            let header = bytes.get(..4)?;
            let length = usize::from(u16_at(header, 0));
            let value = bytes.get(4..length)?;
            bytes = bytes.get(align(length)..).unwrap_or_default();
            Some((u16_at(header, 2) & ATTRIBUTE_MASK, value))
        })
    }

    pub fn get(self, attribute: u16) -> Option<&'a [u8]> {
        self.iter()
            .find(|(kind, _)| *kind == attribute)
            .map(|(_, value)| value)
    }

    pub fn nested(self, attribute: u16) -> Option<Attributes<'a>> {
        self.get(attribute).map(Attributes)
    }

    pub fn u32(self, attribute: u16) -> Option<u32> {
        self.get(attribute).filter(|v| v.len() >= 4).map(|v| u32_at(v, 0))
    }

    pub fn u32_be(self, attribute: u16) -> Option<u32> {
        self.get(attribute)
            .filter(|v| v.len() >= 4)
            .map(|v| u32::from_be_bytes([v[0], v[1], v[2], v[3]]))
    }

    /// A string up to its closing zero.
    pub fn text(self, attribute: u16) -> Option<&'a str> {
        let value = self.get(attribute)?;
        std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
    }
}

fn align(length: usize) -> usize {
    (length + 3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::super::encode::Request;
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut request = Request::new();
        request.begin(16, 1, &[1, 2]);
        request.put_text(3, "eth0").nest(18, |inner| {
            inner.put_u32(1, 77);
        });
        request.begin(17, 4, &[]);
        let messages = Message::split(request.finish(9));
        assert_eq!(messages.len(), 2);
        assert_eq!(
            (messages[0].kind, messages[0].flags, messages[0].sequence),
            (16, 1, 9)
        );
        assert_eq!(messages[0].attributes(2).text(3), Some("eth0"));
        assert_eq!(
            messages[0].attributes(2).nested(18).and_then(|n| n.u32(1)),
            Some(77)
        );
        assert_eq!((messages[1].kind, messages[1].sequence), (17, 10));
    }

    #[test]
    fn broken_lengths_end_the_walk() {
        let mut request = Request::new();
        request.begin(16, 1, &[]);
        request.put_u32(1, 2);
        let bytes = request.finish(1).to_vec();
        for cut in 0..bytes.len() {
            assert!(Message::split(&bytes[..cut]).is_empty());
        }
        let mut long = bytes.clone();
        long[16] = 200;
        assert_eq!(Message::split(&long)[0].attributes(0).iter().count(), 0);
        // A length of zero must not be walked for ever.
        assert_eq!(Attributes(&[0, 0, 1, 0, 0, 0, 1, 0]).iter().count(), 0);
    }
}
