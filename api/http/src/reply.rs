//! Replies: JSON with Go's trailing newline, errors as `{"message": …}`, streams of JSON objects.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use shoal_api_backend::{BoxStream, Class, Error};
use shoal_api_types::message::{ErrorResponse, JsonMessage};

/// A backend's error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure(pub Error);

pub(crate) type Answer = Result<Response, Failure>;

impl Failure {
    /// The same failure, saying first what was attempted.
    pub fn in_front(mut self, attempt: &str) -> Self {
        self.0.message.insert_str(0, attempt);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        error(status_of(self.0.class), &self.0.message)
    }
}

pub(crate) fn status_of(class: Class) -> StatusCode {
    match class {
        Class::InvalidParameter => StatusCode::BAD_REQUEST,
        Class::Unauthorized => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Conflict => StatusCode::CONFLICT,
        Class::NotModified => StatusCode::NOT_MODIFIED,
        Class::System => StatusCode::INTERNAL_SERVER_ERROR,
        Class::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The class that another daemon's refusal had.
pub(crate) fn class_of(status: StatusCode) -> Class {
    match status {
        StatusCode::BAD_REQUEST => Class::InvalidParameter,
        StatusCode::UNAUTHORIZED => Class::Unauthorized,
        StatusCode::FORBIDDEN => Class::Forbidden,
        StatusCode::NOT_FOUND => Class::NotFound,
        StatusCode::CONFLICT => Class::Conflict,
        StatusCode::NOT_IMPLEMENTED => Class::NotImplemented,
        StatusCode::SERVICE_UNAVAILABLE => Class::Unavailable,
        _ => Class::System,
    }
}

/// `{"message": …}` with a status; 304 has no body.
pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    if status == StatusCode::NOT_MODIFIED {
        return status.into_response();
    }
    json_with(
        status,
        &ErrorResponse {
            message: message.to_owned(),
        },
    )
}

pub(crate) fn page_not_found() -> Response {
    error(StatusCode::NOT_FOUND, "page not found")
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Response {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    encoded(status, line(value))
}

fn encoded(status: StatusCode, text: Result<Bytes, serde_json::Error>) -> Response {
    match text {
        Ok(bytes) => typed(status, "application/json", Body::from(bytes)),
        Err(reason) => {
            tracing::error!(%reason, "could not encode a reply");
            typed(
                StatusCode::INTERNAL_SERVER_ERROR,
                "application/json",
                Body::from("{\"message\":\"could not encode the reply\"}\n"),
            )
        }
    }
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

pub(crate) fn ok() -> Response {
    StatusCode::OK.into_response()
}

/// One JSON object and a newline.
pub(crate) fn line<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    let mut text = escaped(value)?;
    text.push('\n');
    Ok(Bytes::from(text))
}

/// One JSON object alone.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> Result<Box<str>, serde_json::Error> {
    escaped(value).map(String::into_boxed_str)
}

/// A list of objects that were written before.
pub(crate) fn array(texts: Result<Vec<&str>, serde_json::Error>) -> Response {
    let joined = texts.map(|texts| {
        let mut all = String::with_capacity(3 + texts.iter().map(|text| text.len() + 1).sum::<usize>());
        all.push('[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                all.push(',');
            }
            all.push_str(text);
        }
        all.push_str("]\n");
        Bytes::from(all)
    });
    encoded(StatusCode::OK, joined)
}

/// Escapes `<`, `>`, `&` as Go does, which clients that compare bytes see.
fn escaped<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(value)?;
    // U+2028 and U+2029 begin with this byte. Most replies have none of all these, and a list is long.
    let bytes = text.as_bytes();
    if memchr::memchr3(b'<', b'>', b'&', bytes).is_some() || memchr::memchr(0xe2, bytes).is_some() {
        text = text
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026")
            .replace('\u{2028}', "\\u2028")
            .replace('\u{2029}', "\\u2029");
    }
    Ok(text)
}

/// A stream of JSON objects whose header goes out at once.
pub(crate) fn json_stream<T: Serialize + 'static>(
    content_type: &'static str,
    items: impl Stream<Item = T> + Send + 'static,
) -> Response {
    let lines = items.map(|item| line(&item).map_err(std::io::Error::other));
    typed(StatusCode::OK, content_type, Body::from_stream(lines))
}

/// Progress lines. An error before the first line is the reply's status, a later one is the last line of a 200.
pub(crate) async fn progress(
    mut messages: BoxStream<Result<JsonMessage, Error>>,
    old_client: bool,
) -> Answer {
    let first = match messages.next().await {
        Some(Err(error)) => return Err(error.into()),
        first => first,
    };
    let lines = stream::iter(first).chain(messages).map(move |message| {
        let mut message = message.unwrap_or_else(|error| JsonMessage::failure(error.message));
        if old_client {
            if let (Some(detail), true) = (&message.error_detail, message.error.is_empty()) {
                message.error = detail.message.clone();
            }
            if let (Some(detail), true) = (&message.progress_detail, message.progress.is_empty()) {
                message.progress = bar(detail.current, detail.total);
            }
        }
        message
    });
    Ok(json_stream("application/json", lines))
}

/// The bar that clients before API 1.48 print as it is: `[==>   ]  1.2MB/3.4MB`.
fn bar(current: i64, total: i64) -> String {
    if current <= 0 && total <= 0 {
        return String::new();
    }
    if total <= 0 || current > total {
        return format!("{:>8}", human(current));
    }
    let full = (current as f64 / total as f64 * 50.0) as usize;
    let head = if full < 50 { ">" } else { "" };
    let rest = 50usize.saturating_sub(full + head.len());
    format!(
        "[{}{head}{}] {:>8}/{}",
        "=".repeat(full),
        " ".repeat(rest),
        human(current),
        human(total)
    )
}

fn human(bytes: i64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    // Four significant digits without trailing zeros, as `%.4g`.
    let digits = if value >= 1000.0 {
        0
    } else {
        3 - (value.max(1.0).log10() as usize).min(3)
    };
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text + unit
}

/// Bytes as they come; an error breaks the connection, which is the only way left to say so.
pub(crate) fn bytes(content_type: &'static str, chunks: BoxStream<Result<Bytes, Error>>) -> Response {
    let body = Body::from_stream(chunks.map(|chunk| chunk.map_err(std::io::Error::other)));
    typed(StatusCode::OK, content_type, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_look_as_docker_draws_them() {
        assert_eq!(
            bar(20, 100),
            format!("[==========>{}]      20B/100B", " ".repeat(39))
        );
        assert_eq!(bar(1_234_567, 0), " 1.235MB");
        assert_eq!(bar(0, 0), "");
    }

    #[test]
    fn html_is_escaped_as_go_does() {
        assert_eq!(&line("<none>&").unwrap()[..], b"\"\\u003cnone\\u003e\\u0026\"\n");
    }
}
