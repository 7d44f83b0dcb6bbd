//! What registries and networks answer when they do not give what was asked for, in Docker's words.

use std::error::Error as _;
use std::io::ErrorKind;

use http::{Method, StatusCode, Uri};
use serde::Deserialize;

use crate::error::Error;
use crate::reference::Reference;

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    errors: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The registry answered with an error.
pub(super) fn refused(status: StatusCode, body: &[u8], name: &Reference) -> Error {
    let item = serde_json::from_slice(body)
        .ok()
        .and_then(|answer: Answer| answer.errors.into_iter().next());
    let (code, message) = item.map_or((String::new(), String::new()), |item| (item.code, item.message));
    let cause = match code.is_empty() {
        true => String::new(),
        false => format!("{}: {message}", code.to_ascii_lowercase().replace('_', " ")),
    };
    let repository = name.familiar_name();
    match (code.as_str(), status) {
        ("DENIED", _) | ("", StatusCode::FORBIDDEN) => Error::NotFound(with(
            format!(
                "pull access denied for {repository}, repository does not exist or may require 'docker login'"
            ),
            cause,
        )),
        ("NAME_UNKNOWN", _) => Error::NotFound(with(format!("repository {repository} not found"), cause)),
        ("MANIFEST_UNKNOWN", _) | ("", StatusCode::NOT_FOUND) => {
            let cause = if cause.is_empty() {
                "manifest unknown: manifest unknown".to_owned()
            } else {
                cause
            };
            Error::NotFound(with(format!("manifest for {} not found", name.familiar()), cause))
        }
        ("UNAUTHORIZED", _) => Error::Unauthorized(cause),
        (_, StatusCode::UNAUTHORIZED) => {
            Error::Unauthorized("unauthorized: authentication required".to_owned())
        }
        (_, StatusCode::NOT_FOUND) => Error::NotFound(cause),
        ("", status) => Error::Unreachable(format!("received unexpected HTTP status: {status}")),
        _ => Error::Unreachable(cause),
    }
}

/// The registry refused what was sent to it.
pub(super) fn push_refused(status: StatusCode, body: &[u8]) -> Error {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let item = answer.and_then(|answer| answer.errors.into_iter().next());
    match (item, status) {
        (Some(item), _) if item.code == "DENIED" => Error::Unauthorized(format!(
            "denied: {}",
            or(item.message, "requested access to the resource is denied")
        )),
        (Some(item), _) if item.code == "UNAUTHORIZED" => Error::Unauthorized(format!(
            "unauthorized: {}",
            or(item.message, "authentication required")
        )),
        (None, StatusCode::UNAUTHORIZED) => {
            Error::Unauthorized("unauthorized: authentication required".to_owned())
        }
        (None, StatusCode::FORBIDDEN) => {
            Error::Unauthorized("denied: requested access to the resource is denied".to_owned())
        }
        (Some(item), status) if !item.code.is_empty() => {
            let text = format!(
                "{}: {}",
                item.code.to_ascii_lowercase().replace('_', " "),
                item.message
            );
            match status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                true => Error::Refused(text),
                false => Error::Unreachable(text),
            }
        }
        (_, status) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Error::Refused(format!("received unexpected HTTP status: {status}"))
        }
        (_, status) => Error::Unreachable(format!("received unexpected HTTP status: {status}")),
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() {
        otherwise.to_owned()
    } else {
        text
    }
}

fn with(what: String, cause: String) -> String {
    if cause.is_empty() {
        what
    } else {
        format!("{what}: {cause}")
    }
}

/// No answer came: says what was asked and what went wrong on the way, as Go's client does.
pub(super) fn unreachable(method: &Method, uri: &Uri, error: &hyper_util::client::legacy::Error) -> Error {
    Error::Unreachable(format!("{} \"{uri}\": {}", verb(method), why(uri, error)))
}

/// `Get`, as Go writes it.
fn verb(method: &Method) -> String {
    let text = method.as_str();
    let (first, rest) = text.split_at(1.min(text.len()));
    format!("{first}{}", rest.to_ascii_lowercase())
}

pub(super) fn timed_out(uri: &Uri) -> Error {
    Error::Unreachable(format!(
        "Get \"{uri}\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while \
         awaiting headers)"
    ))
}

fn why(uri: &Uri, error: &hyper_util::client::legacy::Error) -> String {
    let host = uri.host().unwrap_or_default();
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    let mut source = error.source();
    let mut deepest = error.to_string();
    while let Some(cause) = source {
        deepest = cause.to_string();
        if let Some(tls) = of_tls(cause) {
            return match tls {
                rustls::Error::InvalidMessage(_) => {
                    "http: server gave HTTP response to HTTPS client".to_owned()
                }
                other => format!("tls: failed to verify certificate: {other}"),
            };
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                ErrorKind::ConnectionRefused => {
                    return format!("dial tcp {host}:{port}: connect: connection refused");
                }
                ErrorKind::TimedOut => return format!("dial tcp {host}:{port}: i/o timeout"),
                ErrorKind::HostUnreachable => {
                    return format!("dial tcp {host}:{port}: connect: no route to host");
                }
                ErrorKind::NetworkUnreachable => {
                    return format!("dial tcp {host}:{port}: connect: network is unreachable");
                }
                ErrorKind::ConnectionReset => {
                    return format!("read tcp {host}:{port}: connection reset by peer");
                }
                _ if io.to_string().contains("lookup address") => {
                    return format!("dial tcp: lookup {host}: no such host");
                }
                _ => {}
            }
        }
        source = cause.source();
    }
    deepest
}

/// An error of TLS, which may lie in several others of input and output: they do not tell it as their source.
fn of_tls<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls);
    }
    of_tls(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}
