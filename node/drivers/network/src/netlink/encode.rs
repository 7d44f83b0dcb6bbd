//! Writing netlink messages. All numbers are in host order unless a name says otherwise.

use std::ops::Range;

const HEADER_BYTES: usize = 16;
const NESTED: u16 = 0x8000;

/// One or more messages that go to the kernel in one write.
#[derive(Debug, Default)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Request {
    pub fn new() -> Request {
        Request {
            bytes: Vec::with_capacity(512),
            starts: Vec::with_capacity(4),
        }
    }

    /// Begins the next message; `head` is the family's own header. Answers its number in this request.
    pub fn begin(&mut self, kind: u16, flags: u16, head: &[u8]) -> usize {
        self.close();
        let start = self.bytes.len();
        self.starts.push(start);
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.extend_from_slice(head);
        self.pad();
        self.starts.len() - 1
    }

    pub fn put(&mut self, attribute: u16, value: &[u8]) -> &mut Self {
        // An attribute's length has 16 bits; the callers that could pass them (lists) split their lists long before.
        debug_assert!(value.len() < usize::from(u16::MAX) - 4);
        self.bytes
            .extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&attribute.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    pub fn put_u8(&mut self, attribute: u16, value: u8) -> &mut Self {
        self.put(attribute, &[value])
    }

    pub fn put_u32(&mut self, attribute: u16, value: u32) -> &mut Self {
        self.put(attribute, &value.to_ne_bytes())
    }

    pub fn put_u32_be(&mut self, attribute: u16, value: u32) -> &mut Self {
        self.put(attribute, &value.to_be_bytes())
    }

    /// A string with its closing zero.
    pub fn put_text(&mut self, attribute: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(attribute, &bytes)
    }

    pub fn nest(&mut self, attribute: u16, fill: impl FnOnce(&mut Request)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&0u16.to_ne_bytes());
        self.bytes.extend_from_slice(&(attribute | NESTED).to_ne_bytes());
        fill(self);
        let length = self.bytes.len() - start;
        debug_assert!(length <= usize::from(u16::MAX));
        self.bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        self
    }

    /// Plain bytes inside an attribute that begins with a structure (a veth's peer).
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    pub fn add_flags(&mut self, message: usize, more: u16) {
        if let Some(start) = self.starts.get(message) {
            let at = *start + 6;
            let flags = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]) | more;
            self.bytes[at..at + 2].copy_from_slice(&flags.to_ne_bytes());
        }
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// The finished bytes, with sequence numbers that count up from `first`.
    pub fn finish(&mut self, first: u32) -> &[u8] {
        self.close();
        for (at, start) in self.starts.iter().enumerate() {
            let field = self.field(*start + 8);
            self.bytes[field].copy_from_slice(&first.wrapping_add(at as u32).to_ne_bytes());
        }
        &self.bytes
    }

    /// Content of the only message from its attributes on: expressions are built apart and put into a rule.
    pub fn into_attributes(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }

    fn close(&mut self) {
        if let Some(start) = self.starts.last().copied() {
            let length = (self.bytes.len() - start) as u32;
            let field = self.field(start);
            self.bytes[field].copy_from_slice(&length.to_ne_bytes());
            debug_assert!(length as usize >= HEADER_BYTES);
        }
    }

    fn field(&self, at: usize) -> Range<usize> {
        at..at + 4
    }

    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}
