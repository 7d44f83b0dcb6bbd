//! Docker's units, sizes, durations and ages.

use anyhow::{Result, anyhow};
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `12 characters of an id`, without `sha256:`.
pub fn short_id(id: &str) -> String {
    id.strip_prefix("sha256:")
        .unwrap_or(id)
        .chars()
        .take(12)
        .collect()
}

/// `1.23kB`, decimal, four significant digits at most, as docker prints sizes.
pub fn human_size(bytes: f64) -> String {
    scaled(bytes, 1000.0, 4, ["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// The same with three digits, as lists show it.
pub fn human_size_short(bytes: f64) -> String {
    scaled(bytes, 1000.0, 3, ["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `1.5GiB`.
pub fn binary_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, 4, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn scaled(bytes: f64, base: f64, digits: i32, units: [&str; 7]) -> String {
    let mut value = bytes;
    let mut unit = 0;
    while value >= base && unit < 6 {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let magnitude = value.abs().log10().floor() as i32 + 1;
    let places = usize::try_from((digits - magnitude).max(0)).unwrap_or(0);
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `64m`, `1.5g`, `512` → bytes, binary units as docker reads them.
pub fn bytes_of(text: &str) -> Result<i64> {
    let bad = || anyhow!("invalid size: '{text}'");
    let lower = text.trim().to_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let power = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    whole(number * 1024f64.powi(power)).ok_or_else(bad)
}

/// Go's `time.ParseDuration` → nanoseconds: `1h2m3.5s`, `100ms`.
pub fn duration_of(text: &str) -> Result<i64> {
    let bad = || anyhow!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let (unit, scale) = [
            ("ns", 1.0),
            ("us", 1e3),
            ("µs", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 6e10),
            ("h", 3.6e12),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))
        .ok_or_else(bad)?;
        // "m" must not take the "m" of "ms".
        rest = &rest[unit.len()..];
        total += number * scale;
    }
    whole(sign * total).ok_or_else(bad)
}

/// None where it does not fit.
fn whole(number: f64) -> Option<i64> {
    (number.abs() < i64::MAX as f64).then_some(number as i64)
}

/// "Less than a second", "About a minute", "3 hours", …: docker's coarse durations.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds as f64 / 3600.0).round() as i64);
    match seconds {
        s if s < 1 => "Less than a second".into(),
        1 => "1 second".into(),
        s if s < 60 => format!("{s} seconds"),
        _ if minutes == 1 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

pub fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// RFC 3339 → seconds since the epoch; zero for what is not a time.
pub fn parse_time(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
}

/// How long ago a time was, in docker's words.
pub fn since_now(text: &str) -> String {
    human_duration(unix_now() - parse_time(text))
}

/// `2026-11-21 11:05:00 +0000 UTC`, in UTC wherever we are.
pub fn created_at(unix: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(unix) else {
        return String::new();
    };
    let (date, time) = (at.date(), at.time());
    format!(
        "{date} {:02}:{:02}:{:02} +0000 UTC",
        time.hour(),
        time.minute(),
        time.second()
    )
}

pub fn ago(unix: i64) -> String {
    format!("{} ago", human_duration(unix_now() - unix))
}

/// `running` → `Running`.
pub fn lower_title(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(human_size(0.0), "0B");
        assert_eq!(human_size(4_261_502.0), "4.262MB");
        assert_eq!(human_size(77_800_000.0), "77.8MB");
        assert_eq!(human_size(1_000.0), "1kB");
        assert_eq!(human_size_short(1_984_245.0), "1.98MB");
        assert_eq!(binary_size(67_108_864.0), "64MiB");
        assert_eq!(created_at(1_700_000_000), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(bytes_of("64m").unwrap(), 64 << 20);
        assert_eq!(bytes_of("1.5GB").unwrap(), 3 << 29);
        assert_eq!(bytes_of("512").unwrap(), 512);
        assert!(bytes_of("x").is_err() && bytes_of("1q").is_err());
        assert_eq!(duration_of("1m30s").unwrap(), 90_000_000_000);
        assert_eq!(duration_of("100ms").unwrap(), 100_000_000);
        assert!(duration_of("5").is_err() && duration_of("").is_err() && duration_of("1x").is_err());
        assert!(bytes_of("99999999999g").is_err() && duration_of("9999999999h").is_err());
        assert!(duration_of("-9999999999h").is_err());
        assert_eq!(human_duration(0), "Less than a second");
        assert_eq!(human_duration(59), "59 seconds");
        assert_eq!(human_duration(61), "About a minute");
        assert_eq!(human_duration(7_200), "2 hours");
        assert_eq!(human_duration(200_000), "2 days");
    }
}
