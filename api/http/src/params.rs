//! Query parameters with Go's ideas of booleans and numbers.

use crate::gojson;
use crate::reply::Failure;
use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use shoal_api_backend::Error;
use shoal_api_types::Timestamp;
use shoal_api_types::image::OciPlatform;
use std::convert::Infallible;

/// The query, in order.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(
            match Query::<Vec<(String, String)>>::from_request_parts(parts, state).await {
                Ok(Query(pairs)) => pairs,
                // Go ignores what it cannot parse.
                Err(_) => Vec::new(),
            },
        ))
    }
}

impl Params {
    /// The first value; empty when absent.
    pub fn get(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
    /// None when absent or empty.
    pub fn text(&self, key: &str) -> Option<String> {
        Some(self.get(key))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }
    /// Everything is true but nothing, `0`, `no`, `false` and `none`.
    pub fn flag(&self, key: &str) -> bool {
        !matches!(
            self.get(key).trim().to_ascii_lowercase().as_str(),
            "" | "0" | "no" | "false" | "none"
        )
    }
    pub fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.has(key) { self.flag(key) } else { default }
    }
    pub fn int(&self, key: &str) -> Result<Option<i64>, Failure> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax")).into()
            }),
        }
    }
    /// The `version=` of an update; `what` names the object as Docker does.
    pub fn version(&self, what: &str) -> Result<u64, Failure> {
        let text = self.get("version");
        text.parse().map_err(|_| {
            let reason = format!("strconv.ParseUint: parsing \"{text}\": invalid syntax");
            Error::invalid(format!("invalid {what} version '{text}': {reason}")).into()
        })
    }
    pub fn time(&self, key: &str) -> Result<Option<Timestamp>, Failure> {
        match self.get(key) {
            "" | "0" => Ok(None),
            text => Timestamp::parse_query(text).map(Some).map_err(|_| {
                Error::invalid(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")).into()
            }),
        }
    }
    /// Unix seconds with an optional fraction, in Go's reading of them; `0` is a point in time like any other.
    pub fn point(&self, key: &str) -> Result<Option<Timestamp>, Failure> {
        let text = self.get(key);
        if text.is_empty() {
            return Ok(None);
        }
        let bad = |part: &str| {
            Failure::from(Error::invalid(format!(
                "strconv.ParseInt: parsing \"{part}\": invalid syntax"
            )))
        };
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let seconds: i64 = whole.parse().map_err(|_| bad(whole))?;
        let nanos = match fraction {
            None => 0,
            Some(text) => {
                let digits: i64 = text.parse().map_err(|_| bad(text))?;
                let places = i32::try_from(text.len()).unwrap_or(i32::MAX);
                (digits as f64 * 10f64.powi(9i32.saturating_sub(places))) as i128
            }
        };
        Ok(Some(Timestamp::from_unix_nanos(
            i128::from(seconds) * 1_000_000_000 + nanos,
        )))
    }
    /// `platform=` of what is pulled, imported or created: `os[/arch[/variant]]`, or JSON.
    pub fn platform(&self) -> Result<Option<OciPlatform>, Failure> {
        self.text("platform")
            .map(|text| match text.trim_start().starts_with('{') {
                true => decode_platform(&text),
                false => parse_platform(&text),
            })
            .transpose()
    }
    /// `platform=` of what is here already: the JSON of an OCI platform.
    pub fn platform_here(&self) -> Result<Option<OciPlatform>, Failure> {
        self.text("platform")
            .map(|text| decode_platform(&text))
            .transpose()
    }
    /// `platforms=`: JSON, any number of them.
    pub fn platforms(&self) -> Result<Vec<OciPlatform>, Failure> {
        self.all("platforms")
            .filter(|text| !text.is_empty())
            .map(decode_platform)
            .collect()
    }
    /// `platform=` repeated, as load and save have it: JSON.
    pub fn platforms_or_one(&self) -> Result<Vec<OciPlatform>, Failure> {
        self.all("platform")
            .filter(|text| !text.is_empty())
            .map(decode_platform)
            .collect()
    }
}

fn decode_platform(text: &str) -> Result<OciPlatform, Failure> {
    gojson::decode(text.as_bytes()).map_err(|reason| {
        let reason = reason.trim_start_matches("invalid JSON: ");
        Error::invalid(format!("failed to parse platform: {reason}")).into()
    })
}

fn parse_platform(text: &str) -> Result<OciPlatform, Failure> {
    let mut parts = text.split('/');
    let platform = OciPlatform {
        os: parts.next().unwrap_or_default().to_ascii_lowercase(),
        architecture: match parts.next().unwrap_or_default() {
            "x86_64" | "x86-64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_ascii_lowercase(),
        },
        variant: parts.next().unwrap_or_default().to_ascii_lowercase(),
        ..OciPlatform::default()
    };
    let clean = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    if parts.next().is_some() {
        let reason = format!("\"{text}\": cannot parse platform specifier: invalid argument");
        return Err(Error::invalid(reason).into());
    }
    if platform.os.is_empty() || ![&platform.os, &platform.architecture].iter().all(|p| clean(p)) {
        let reason = format!("\"{text}\": unknown operating system or architecture: invalid argument");
        return Err(Error::invalid(reason).into());
    }
    Ok(platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let params = Params(vec![
            ("a".into(), "banana".into()),
            ("b".into(), "False".into()),
            ("c".into(), "".into()),
        ]);
        assert!(params.flag("a") && !params.flag("b") && !params.flag("c") && !params.flag("d"));
        assert!(params.flag_or("d", true) && !params.flag_or("b", true));
    }

    #[test]
    fn platforms_come_in_two_forms() {
        assert_eq!(parse_platform("linux/arm64/v8").unwrap().variant, "v8");
        assert_eq!(
            decode_platform(r#"{"os":"linux","architecture":"amd64"}"#)
                .unwrap()
                .architecture,
            "amd64"
        );
        assert!(parse_platform("a/b/c/d").is_err() && parse_platform("/x").is_err());
        assert!(decode_platform("linux/arm64").is_err());
    }
}
