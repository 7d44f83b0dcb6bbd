//! Answers that go on: JSON objects one after the other, raw bytes, Docker's frames.

use crate::error::{Error, Result};
use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use tokio::io::{AsyncRead, AsyncReadExt};

/// JSON objects as they arrive.
pub struct JsonStream<T> {
    body: Incoming,
    buffer: BytesMut,
    call: &'static str,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonStream<T> {
    pub(crate) fn new(body: Incoming, call: &'static str) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            call,
            kind: PhantomData,
        }
    }

    /// None when the engine has ended the stream.
    pub async fn next(&mut self) -> Option<Result<T>> {
        loop {
            match self.parse() {
                Ok(Some(value)) => return Some(Ok(value)),
                Ok(None) => {}
                Err(reason) => {
                    return Some(Err(Error::Decode {
                        call: self.call.to_owned(),
                        reason,
                    }));
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Some(Err(error.into())),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return None,
                None => {
                    let cut = Error::Io(std::io::ErrorKind::UnexpectedEof.into());
                    self.buffer.clear();
                    return Some(Err(cut));
                }
            }
        }
    }

    fn parse(&mut self) -> Result<Option<T>, serde_json::Error> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<serde_json::Value>();
        match values.next() {
            Some(Ok(value)) => {
                let used = values.byte_offset();
                self.buffer.advance(used);
                shoal_api_types::go::decode_value(value).map(Some)
            }
            Some(Err(error)) if error.is_eof() => Ok(None),
            Some(Err(error)) => {
                self.buffer.clear();
                Err(error)
            }
            None => Ok(None),
        }
    }
}

/// Raw bytes as they arrive.
pub struct Bytes {
    body: Incoming,
    /// Whether they are Docker's frames rather than a terminal's bytes, as far as the engine says.
    pub multiplexed: bool,
}

impl Bytes {
    pub(crate) fn new(response: http::Response<Incoming>) -> Self {
        let kind = response.headers().get(http::header::CONTENT_TYPE);
        let multiplexed = kind.is_some_and(|kind| kind == "application/vnd.docker.multiplexed-stream");
        Self {
            multiplexed,
            body: response.into_body(),
        }
    }
    pub async fn next(&mut self) -> Option<Result<bytes::Bytes>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
    /// As something to read from.
    pub fn into_read(self) -> impl AsyncRead + Send {
        let chunks = futures_util::stream::unfold(self, |mut bytes| async move {
            let next = bytes.next().await?;
            Some((next.map_err(std::io::Error::other), bytes))
        });
        tokio_util::io::StreamReader::new(Box::pin(chunks))
    }
}

/// A piece of output and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 0 stdin, 1 stdout, 2 stderr, 3 an error of the engine.
    pub stream: u8,
    pub bytes: bytes::Bytes,
}

/// Takes Docker's frames apart.
pub struct Frames<R> {
    from: R,
}

/// More than any engine puts into one frame.
const FRAME_BYTES_MAX: usize = 64 << 20;

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(from: R) -> Self {
        Self { from }
    }
    /// None at the end.
    pub async fn next(&mut self) -> Option<Result<Frame>> {
        let mut head = [0u8; 8];
        let mut have = 0;
        while have < head.len() {
            match self.from.read(&mut head[have..]).await {
                Ok(0) if have == 0 => return None,
                Ok(0) => return Some(Err(Error::Frame("cut off in a header"))),
                Ok(count) => have += count,
                Err(error) => return Some(Err(error.into())),
            }
        }
        let [stream, 0, 0, 0, a, b, c, d] = head else {
            return Some(Err(Error::Frame("not a frame")));
        };
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if stream > 3 || size > FRAME_BYTES_MAX {
            return Some(Err(Error::Frame("not a frame")));
        }
        let mut bytes = vec![0; size];
        match self.from.read_exact(&mut bytes).await {
            Ok(_) => Some(Ok(Frame {
                stream,
                bytes: bytes.into(),
            })),
            Err(_) => Some(Err(Error::Frame("cut off"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_taken_apart_and_garbage_is_refused() {
        let mut frames = Frames::new(&b"\x01\0\0\0\0\0\0\x02hi\x02\0\0\0\0\0\0\0\x09"[..]);
        assert_eq!(
            frames.next().await.unwrap().unwrap(),
            Frame {
                stream: 1,
                bytes: "hi".into()
            }
        );
        assert_eq!(
            frames.next().await.unwrap().unwrap(),
            Frame {
                stream: 2,
                bytes: "".into()
            }
        );
        assert!(frames.next().await.unwrap().is_err());
        assert!(Frames::new(&b"hello world"[..]).next().await.unwrap().is_err());
    }
}
