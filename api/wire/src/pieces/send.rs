//! The answering end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited};
use prost::Message;
use tokio_stream::Stream;
use tonic::Status;
use tonic::body::Body;

use super::head::{Head, encode};
use crate::images::{Piece, ReadRequest};

/// Bytes of a request: a digest or two.
const REQUEST_MAX: usize = 4096;
const PREFIX: usize = 5;

/// What the caller asks for.
pub async fn request(body: Body) -> Result<ReadRequest, Status> {
    let body = Limited::new(body, REQUEST_MAX).collect().await;
    let mut bytes = body
        .map_err(|e| Status::invalid_argument(format!("cannot read the request: {e}")))?
        .to_bytes();
    if bytes.len() < PREFIX {
        return Err(Status::invalid_argument("the request ends before its message"));
    }
    let (packed, len) = (bytes.get_u8(), bytes.get_u32() as usize);
    if packed != 0 || len != bytes.len() {
        return Err(Status::invalid_argument("the request is not one plain message"));
    }
    ReadRequest::decode(bytes)
        .map_err(|e| Status::invalid_argument(format!("cannot decode the request: {e}")))
}

/// The answer, up to the first error or the end of `pieces`. Dropped, it drops them.
pub fn answer(
    pieces: impl Stream<Item = Result<Piece, Status>> + Send + Unpin + 'static,
) -> http::Response<Body> {
    let mut answer = http::Response::new(Body::new(Answer {
        pieces,
        next: None,
        ended: false,
    }));
    let kind = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

struct Answer<S> {
    pieces: S,
    /// The bytes of the piece whose head was sent.
    next: Option<Bytes>,
    ended: bool,
}

impl<S: Stream<Item = Result<Piece, Status>> + Unpin> http_body::Body for Answer<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(bytes) = self.next.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let head = match ready!(Pin::new(&mut self.pieces).poll_next(cx)) {
            Some(Ok(piece)) if piece.data.is_empty() => Head::Moved(piece.moved),
            Some(Ok(piece)) => {
                let len = piece.data.len() as u64;
                self.next = Some(piece.data);
                Head::Data(len)
            }
            end => {
                self.ended = true;
                let status = end.and_then(Result::err).unwrap_or_else(|| Status::ok(""));
                let mut trailers = HeaderMap::new();
                let told = status.add_header(&mut trailers);
                return Poll::Ready(Some(told.map(|()| Frame::trailers(trailers))));
            }
        };
        Poll::Ready(Some(Ok(Frame::data(encode(head)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.next.is_none()
    }
}
