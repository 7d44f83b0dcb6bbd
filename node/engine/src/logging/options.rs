//! The drivers' options: which there are, and what they say about what is kept. The texts are Docker's.

use super::{DEFAULT_MAX_FILE, DEFAULT_MAX_SIZE};
use crate::error::{Result, invalid};
use shoal_node_core_host::bridgeopts::go_bool;
use shoal_node_core_host::sizes;
use shoal_node_drivers_logs::delivery::{self, About};
use std::collections::BTreeMap;

/// Drivers that send a log elsewhere.
pub const NETWORK: [&str; 4] = ["syslog", "gelf", "fluentd", "journald"];

/// Options of every driver.
const COMMON: [&str; 6] = [
    "mode",
    "max-buffer-size",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
];
const JSON_FILE: [&str; 8] = [
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
];
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const SYSLOG: [&str; 7] = [
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];
const GELF: [&str; 5] = [
    "gelf-address",
    "gelf-compression-level",
    "gelf-compression-type",
    "gelf-tcp-max-reconnect",
    "gelf-tcp-reconnect-delay",
];
const FLUENTD: [&str; 11] = [
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-connect",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
    "fluentd-read-timeout",
];
const LOCAL: [&str; 3] = ["max-file", "max-size", "compress"];

/// What a create refuses.
pub fn check(driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
    let known = match driver {
        "none" => return Ok(()),
        "json-file" => &JSON_FILE[..],
        "local" => &LOCAL[..],
        "syslog" => &SYSLOG[..],
        "gelf" => &GELF[..],
        "fluentd" => &FLUENTD[..],
        "journald" => &[],
        other => {
            return Err(invalid(format!(
                "error looking up logging plugin {other}: plugin {other:?} not found"
            )));
        }
    };
    common(options).map_err(invalid)?;
    // Docker looks for the address before it looks at the names.
    if driver == "gelf" && options.get("gelf-address").is_none_or(String::is_empty) {
        return Err(invalid("gelf-address is a required parameter"));
    }
    let attributes = if NETWORK.contains(&driver) {
        &ATTRIBUTES[..]
    } else {
        &[]
    };
    for key in options.keys() {
        if COMMON.contains(&key.as_str())
            || known.contains(&key.as_str())
            || attributes.contains(&key.as_str())
        {
            continue;
        }
        return Err(invalid(if driver == "local" {
            format!("unknown log opt '{key}' for log driver local")
        } else {
            format!("unknown log opt '{key}' for {driver} log driver")
        }));
    }
    if driver == "fluentd" {
        fluentd(options).map_err(invalid)?;
    }
    if matches!(driver, "syslog" | "gelf" | "fluentd") {
        delivery::sink(driver, options, About::default()).map_err(invalid)?;
    }
    Ok(())
}

fn fluentd(options: &BTreeMap<String, String>) -> Result<(), String> {
    for (key, text) in options {
        match key.as_str() {
            "fluentd-async"
            | "fluentd-async-connect"
            | "fluentd-sub-second-precision"
            | "fluentd-request-ack" => boolean(text).map(drop)?,
            "fluentd-buffer-limit" => size(text).map(drop)?,
            "fluentd-max-retries" if text.parse::<u32>().is_err() => {
                return Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax"));
            }
            "fluentd-retry-wait" if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                return Err(format!("time: invalid duration {text:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn common(options: &BTreeMap<String, String>) -> Result<(), String> {
    let get = |key: &str| options.get(key).map(String::as_str);
    let non_blocking = match get("mode") {
        None | Some("" | "blocking") => false,
        Some("non-blocking") => true,
        Some(other) => return Err(format!("logger: logging mode not supported: {other}")),
    };
    if let Some(text) = get("max-buffer-size") {
        if !non_blocking {
            return Err("logger: max-buffer-size option is only supported with 'mode=non-blocking'".into());
        }
        size(text).map_err(|why| format!("error parsing option max-buffer-size: {why}"))?;
    }
    if let Some(text) = get("cache-disabled") {
        boolean(text).map_err(|_| format!("invalid value for option cache-disabled: {text}"))?;
    }
    Ok(())
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Bytes; 0 is no limit.
    pub max_size: u64,
    pub max_file: u32,
    pub compress: bool,
}

impl Kept {
    /// Without `max-size` the log is limited all the same; `-1` takes the limit away.
    pub fn json_file<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Kept, String> {
        let asked = match get("max-size") {
            None => None,
            Some("-1") => Some(0),
            Some(text) => Some(
                u64::try_from(size(text)?)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or("max-size must be a positive number")?,
            ),
        };
        let count = get("max-file").map(count).transpose()?;
        if count == Some(0) {
            return Err("max-file cannot be less than 1".into());
        }
        let compress = get("compress").map(boolean).transpose()?;
        if compress == Some(true) && (asked.is_none_or(|n| n == 0) || count.unwrap_or(1) < 2) {
            return Err("compress cannot be true when max-file is less than 2 or max-size is not set".into());
        }
        Ok(match asked {
            // Docker's rules for who asks.
            Some(max_size) => Kept {
                max_size,
                max_file: count.unwrap_or(1),
                compress: compress.unwrap_or(false),
            },
            None => Kept {
                max_size: DEFAULT_MAX_SIZE,
                max_file: count.unwrap_or(DEFAULT_MAX_FILE),
                compress: compress.unwrap_or(count.is_none()),
            },
        })
    }

    /// Docker's limits, which are its defaults too.
    pub fn local<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Kept, String> {
        let max_size = match get("max-size") {
            None => DEFAULT_MAX_SIZE,
            Some(text) => {
                let why = |why| format!("invalid value for max-size: {text}: {why}");
                let bytes = size(text).map_err(why)?;
                u64::try_from(bytes)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or("max size must be a positive number")?
            }
        };
        let max_file = match get("max-file") {
            None => DEFAULT_MAX_FILE,
            Some(text) => count(text).map_err(|why| format!("invalid value for max-file: {text}: {why}"))?,
        };
        let compress = match get("compress") {
            None => true,
            Some(text) => boolean(text).map_err(|why| format!("error reading compress log option: {why}"))?,
        };
        if compress && max_file <= 1 {
            return Err("compression cannot be enabled when max file count is 1".into());
        }
        Ok(Kept {
            max_size,
            max_file: max_file.max(1),
            compress,
        })
    }
}

/// The cache of a driver that sends elsewhere, from which `docker logs` reads; without one, what the sink has not taken yet.
pub fn cache<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<(Kept, bool), String> {
    if get("cache-disabled").map(boolean).transpose()?.unwrap_or(false) {
        let bytes = match get("max-buffer-size") {
            Some(text) => size(text)?,
            None => BUFFER,
        };
        let half = u64::try_from(bytes / 2).unwrap_or(0).max(BUFFER_MIN);
        let kept = Kept {
            max_size: half,
            max_file: 2,
            compress: false,
        };
        return Ok((kept, false));
    }
    let kept = Kept::local(|key| match key {
        "max-size" => get("cache-max-size"),
        "max-file" => get("cache-max-file"),
        // What is to be sent is not packed before it is gone.
        _ => Some("false"),
    })?;
    Ok((kept, true))
}

/// Docker's default of `max-buffer-size`, and less than this is no ring.
const BUFFER: i64 = 1 << 20;
const BUFFER_MIN: u64 = 64 << 10;

/// Bytes, or why not in Docker's words.
pub fn size(text: &str) -> Result<i64, String> {
    sizes::bytes(text).ok_or_else(|| format!("invalid size: '{text}'"))
}

fn count(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(n) => Ok(u32::try_from(n.max(0)).unwrap_or(u32::MAX)),
        Err(_) => Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax")),
    }
}

/// As Go reads one.
pub fn boolean(text: &str) -> Result<bool, String> {
    go_bool(text).ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn refuses_in_dockers_words() {
        for (driver, options, want) in [
            (
                "json-file",
                &[("x", "y")][..],
                "unknown log opt 'x' for json-file log driver",
            ),
            (
                "local",
                &[("tag", "y")],
                "unknown log opt 'tag' for log driver local",
            ),
            (
                "json-file",
                &[("mode", "odd")],
                "logger: logging mode not supported: odd",
            ),
            (
                "local",
                &[("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (
                "local",
                &[("max-buffer-size", "zz"), ("mode", "non-blocking")],
                "error parsing option max-buffer-size: invalid size: 'zz'",
            ),
            (
                "nosuch",
                &[],
                "error looking up logging plugin nosuch: plugin \"nosuch\" not found",
            ),
        ] {
            assert_eq!(check(driver, &map(options)).unwrap_err().message, want);
        }
        assert!(check("none", &map(&[("x", "y")])).is_ok());
    }

    #[test]
    fn what_is_kept() {
        let json = |pairs: &[(&str, &str)]| {
            let map = map(pairs);
            let kept = Kept::json_file(|key| map.get(key).map(String::as_str));
            kept.map(|k| (k.max_size, k.max_file, k.compress))
        };
        assert_eq!(json(&[]), Ok((20_000_000, 5, true)));
        assert_eq!(json(&[("max-size", "-1")]), Ok((0, 1, false)));
        assert_eq!(
            json(&[("max-size", "10k"), ("max-file", "3")]),
            Ok((10_240, 3, false))
        );
        assert_eq!(json(&[("max-file", "3")]), Ok((20_000_000, 3, false)));
        for (pairs, why) in [
            (&[("max-size", "zehn")][..], "invalid size: 'zehn'"),
            (&[("max-size", "0")], "max-size must be a positive number"),
            (
                &[("max-size", "1m"), ("max-file", "0")],
                "max-file cannot be less than 1",
            ),
            (
                &[("max-file", "x")],
                "strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (
                &[("compress", "true")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
        ] {
            assert_eq!(json(pairs), Err(why.to_string()));
        }
        let local = |pairs: &[(&str, &str)]| {
            let map = map(pairs);
            Kept::local(|key| map.get(key).map(String::as_str))
        };
        assert!(local(&[]).is_ok_and(|kept| kept.compress && kept.max_file == 5));
        assert_eq!(
            local(&[("max-size", "zehn")]).unwrap_err(),
            "invalid value for max-size: zehn: invalid size: 'zehn'"
        );
        assert!(
            local(&[("max-file", "1")]).is_err() && local(&[("max-file", "1"), ("compress", "0")]).is_ok()
        );
    }
}
