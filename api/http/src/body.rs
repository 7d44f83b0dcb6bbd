//! Request bodies: JSON in Go's words, `X-Registry-Auth`, and raw uploads.

use crate::connection::Origin;
use crate::gojson;
use crate::reply::Failure;
use axum::body::Body;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use shoal_api_backend::{BoxStream, Error, Upload};
use shoal_api_types::auth::AuthConfig;
use std::time::Duration;

/// The most that a JSON body may hold. The largest honest one is a config of 1000 KiB in base64.
pub(crate) const JSON_BYTES_MAX: usize = 8 << 20;

/// How long a client may take to send one.
const JSON_TIME_MAX: Duration = Duration::from_secs(300);

/// Reads a JSON body; an empty one is an error.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Failure> {
    let bytes = read(headers, body).await?;
    gojson::decode(&bytes).map_err(|reason| Error::invalid(reason).into())
}

/// Reads a JSON body that may be left out.
pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Failure> {
    let bytes = read_any_type(body).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    check_content_type(headers)?;
    gojson::decode(&bytes).map_err(|reason| Error::invalid(reason).into())
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let bytes = read_any_type(body).await?;
    if !bytes.is_empty() {
        check_content_type(headers)?;
    }
    Ok(bytes)
}

async fn read_any_type(body: Body) -> Result<Bytes, Failure> {
    let whole = Limited::new(body, JSON_BYTES_MAX).collect();
    let Ok(whole) = tokio::time::timeout(JSON_TIME_MAX, whole).await else {
        return Err(Error::invalid("the request body did not come in time").into());
    };
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::invalid(format!("request body is larger than {JSON_BYTES_MAX} bytes")).into())
        }
        Err(error) => Err(Error::invalid(format!("could not read the request body: {error}")).into()),
    }
}

/// No content type at all is taken for JSON, as Docker does.
fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.is_empty() || kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("unsupported Content-Type header ({kind}): must be 'application/json'");
    Err(Error::invalid(message).into())
}

/// A body that is passed on as it comes.
pub(crate) fn upload(origin: &Origin, body: Body) -> BoxStream<Result<Bytes, Error>> {
    partial_upload(origin, body).pieces
}

/// The same for who has no use for all of it.
pub(crate) fn partial_upload(origin: &Origin, body: Body) -> Upload {
    let pieces = origin.lane.take(body);
    Upload {
        wanted_from: pieces.wanted_from(),
        pieces: Box::pin(pieces.map(|chunk| {
            chunk.map_err(|error| Error::invalid(format!("could not read the request body: {error}")))
        })),
    }
}

/// base64 in the URL alphabet, padded or not.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `X-Registry-Auth`; None when absent or empty.
pub(crate) fn registry_auth(headers: &HeaderMap) -> Result<Option<AuthConfig>, Failure> {
    let Some(value) = headers.get("x-registry-auth") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let json = URL_SAFE
        .decode(text)
        .or_else(|_| STANDARD.decode(text))
        .map_err(|_| {
            Error::invalid("invalid X-Registry-Auth header: must be a valid base64url-encoded string")
        })?;
    let auth: AuthConfig = shoal_api_types::decode(&json)
        .map_err(|reason| Error::invalid(format!("invalid X-Registry-Auth header: {reason}")))?;
    Ok(Some(auth).filter(|auth| *auth != AuthConfig::default()))
}

/// `X-Registry-Auth` as it came, for the service spec.
pub(crate) fn registry_auth_raw(headers: &HeaderMap) -> String {
    headers
        .get("x-registry-auth")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Whether a method may change something.
pub(crate) fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_come_padded_or_not_and_in_either_alphabet() {
        for text in [
            "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6Ij8_PyJ9",
            "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6Ij8/PyJ9",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-registry-auth", text.parse().unwrap());
            let auth = registry_auth(&headers).unwrap().unwrap();
            assert_eq!((auth.username.as_str(), auth.password.as_str()), ("u", "???"));
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-registry-auth", "e30=".parse().unwrap());
        assert!(registry_auth(&headers).unwrap().is_none());
        headers.insert("x-registry-auth", "!".parse().unwrap());
        assert!(registry_auth(&headers).is_err());
    }
}
