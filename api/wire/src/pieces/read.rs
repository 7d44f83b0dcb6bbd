//! The asking end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use http_body::Body as _;
use http_body_util::Full;
use prost::Message;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use super::PATH;
use super::head::{Head, Partly};
use crate::images::{Piece, ReadRequest};

/// Asks for a blob; what comes first is waited for.
pub async fn open(channel: Channel, request: ReadRequest) -> Result<Pieces, Status> {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
    request
        .encode(&mut message)
        .map_err(|e| Status::internal(format!("cannot encode the request: {e}")))?;
    let mut asked = Request::new(Body::new(Full::new(message.freeze())));
    *asked.method_mut() = Method::POST;
    *asked.version_mut() = Version::HTTP_2;
    *asked.uri_mut() = http::Uri::from_static(PATH);
    let headers = asked.headers_mut();
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut channel = channel;
    let ready = channel.ready().await.map_err(broken)?;
    let answer = ready.call(asked).await.map_err(broken)?;
    let status = answer.status();
    if let Some(refused) = refused(answer.headers()) {
        return Err(refused);
    }
    if status != http::StatusCode::OK {
        return Err(Status::unavailable(format!(
            "the call was answered with {status}"
        )));
    }
    Ok(Pieces {
        body: answer.into_body(),
        came: Bytes::new(),
        head: Partly::default(),
        left: 0,
        ended: false,
    })
}

fn broken(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}

fn refused(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}

/// The answer. The bytes of a message come as they arrive: as several pieces, if it arrives in several parts.
#[derive(Debug)]
pub struct Pieces {
    body: Body,
    came: Bytes,
    head: Partly,
    /// Bytes of a message's data that are still to come.
    left: u64,
    ended: bool,
}

impl Pieces {
    /// What is in the bytes that came.
    fn next_of_came(&mut self) -> Result<Option<Piece>, Status> {
        while !self.came.is_empty() {
            if self.left > 0 {
                let count = self.left.min(self.came.len() as u64);
                self.left -= count;
                let data = self.came.split_to(count as usize);
                return Ok(Some(Piece { data, moved: 0 }));
            }
            let head = self.head.take(&mut self.came);
            match head.map_err(|why| Status::internal(format!("cannot read the answer: {why}")))? {
                Some(Head::Data(len)) => self.left = len,
                Some(Head::Moved(moved)) => {
                    let data = Bytes::new();
                    return Ok(Some(Piece { data, moved }));
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// The answer ends well with a word on it, and at the end of a message.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Option<Result<Piece, Status>> {
        self.ended = true;
        let whole = self.left == 0 && self.head.is_empty();
        match trailers.map(|trailers| (refused(trailers), trailers)) {
            Some((Some(refused), _)) => Some(Err(refused)),
            Some((None, trailers)) if whole && Status::from_header_map(trailers).is_some() => None,
            _ => Some(Err(Status::unavailable("the answer ended before it was whole"))),
        }
    }
}

impl Stream for Pieces {
    type Item = Result<Piece, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            match self.next_of_came() {
                Ok(None) => {}
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(self.end(None)),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.came = data,
                    Err(frame) => {
                        let end = self.end(frame.trailers_ref());
                        return Poll::Ready(end);
                    }
                },
            }
        }
        Poll::Ready(None)
    }
}
