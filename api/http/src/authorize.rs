//! Asks the gatekeeper about requests and answers. What it is shown is what the handler gets: the body is read once,
//! shown, and handed on, whatever the request says its type or length is. What cannot be shown whole is refused.

use crate::connection::Origin;
use crate::reply::Failure;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use shoal_api_backend::{Call, CallAnswer, Error, Gatekeeper};
use std::collections::BTreeMap;

/// Docker's bound for what a plugin is shown of a request.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Lists of a large host are longer than any request.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Asks about the request; its body is in place again afterwards.
pub(crate) async fn request(
    gate: &dyn Gatekeeper,
    request: &mut Request<Body>,
    origin: &Origin,
) -> Result<Call, Response> {
    let refuse = |error: Error| Failure(error).into_response();
    let mut call = Call {
        method: request.method().to_string(),
        uri: request.uri().to_string(),
        headers: headers(request.headers()),
        body: None,
        certificates: origin.certificates.to_vec(),
    };
    let path = without_version(request.uri().path());
    let shown =
        !path.ends_with("/auth") && (is_json(request.headers()) || !is_upload(request.method(), path));
    if shown {
        let body = std::mem::take(request.body_mut());
        let whole = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(refuse(Error::forbidden(format!(
                    "request body is larger than {REQUEST_BYTES_MAX} bytes: no authorization plugin can be asked about it"
                ))));
            }
            Err(error) => {
                return Err(refuse(Error::invalid(format!(
                    "could not read the request body: {error}"
                ))));
            }
        };
        *request.body_mut() = Body::from(whole.clone());
        call.body = Some(whole).filter(|bytes| !bytes.is_empty());
    }
    gate.may_call(&call).await.map_err(refuse)?;
    Ok(call)
}

/// Asks about the answer. A stream is asked about by its head; a connection that was taken over is not asked about again.
pub(crate) async fn answer(gate: &dyn Gatekeeper, call: &Call, response: Response) -> Response {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let (head, body) = response.into_parts();
    let mut shown = CallAnswer {
        status: head.status.as_u16(),
        headers: headers(&head.headers),
        body: None,
    };
    let body = if body.size_hint().exact().is_some() {
        let whole: Bytes = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(_) => {
                let text = format!(
                    "the answer is larger than {ANSWER_BYTES_MAX} bytes: no authorization plugin can be asked about it"
                );
                return Failure(Error::forbidden(text)).into_response();
            }
        };
        shown.body = Some(whole.clone()).filter(|bytes| !bytes.is_empty() && is_json(&head.headers));
        Body::from(whole)
    } else {
        body
    };
    match gate.may_answer(call, &shown).await {
        Ok(()) => Response::from_parts(head, body),
        Err(error) => Failure(error).into_response(),
    }
}

fn without_version(path: &str) -> &str {
    match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            // With its slash.
            &path[path.len() - rest.len() - 1..]
        }
        _ => path,
    }
}

/// Calls whose bodies are bytes and not words.
fn is_upload(method: &Method, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).take(4).collect();
    match parts[..] {
        ["containers", _, "archive"] => method == Method::PUT,
        ["build"]
        | ["session"]
        | ["grpc"]
        | ["images", "load"]
        | ["images", "create"]
        | ["plugins", "create"] => method == Method::POST,
        ["containers", _, "attach"] => method == Method::POST,
        _ => false,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}

fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let hidden = ["authorization", "x-registry-auth", "x-registry-config"];
    headers
        .iter()
        .filter(|(name, _)| !hidden.contains(&name.as_str()))
        .map(|(name, value)| {
            (
                canonical(name.as_str()),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

/// `content-type` as Go writes it: `Content-Type`.
fn canonical(name: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_told_from_words() {
        for (method, path, upload) in [
            (Method::PUT, "/containers/a/archive", true),
            (Method::POST, "/images/load", true),
            (Method::POST, "/containers/create", false),
            (Method::POST, "/exec/a/start", false),
            (Method::POST, "/containers/archive/rename", false),
        ] {
            assert_eq!(is_upload(&method, path), upload, "{path}");
        }
        assert_eq!(without_version("/v1.44/images/load"), "/images/load");
        assert_eq!(without_version("/volumes/x"), "/volumes/x");
        assert_eq!(without_version("/images/load"), "/images/load");
        assert_eq!(canonical("x-registry-auth"), "X-Registry-Auth");
    }
}
