//! Numbers with units, and signals by name.

/// `10m`, `1g`, `512` → bytes (binary units), as Docker reads sizes.
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let bare = bare.strip_suffix('i').unwrap_or(bare);
    let (number, shift) = match bare.as_bytes().last()? {
        b'k' => (&bare[..bare.len() - 1], 10),
        b'm' => (&bare[..bare.len() - 1], 20),
        b'g' => (&bare[..bare.len() - 1], 30),
        b't' => (&bare[..bare.len() - 1], 40),
        b'p' => (&bare[..bare.len() - 1], 50),
        _ => (bare, 0),
    };
    let value: f64 = number.trim().parse().ok()?;
    if !value.is_finite() || value < 0.0 {
        return None;
    }
    Some(
        (value * f64::from(1u32 << (shift % 30)) * if shift >= 30 { f64::from(1u32 << 30) } else { 1.0 })
            as u64,
    )
}

const SIGNALS: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const RT_MIN: i32 = 34;
const RT_MAX: i32 = 64;

/// `TERM`, `SIGTERM`, `15`, `RTMIN+3`.
pub fn signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RT_MAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, sign| rest.strip_prefix(sign)?.parse::<i32>().ok().filter(|n| *n >= 0);
    let number = match name {
        "" => None,
        "IOT" => Some(6),
        "CLD" => Some(17),
        "POLL" => Some(29),
        "RTMIN" => Some(RT_MIN),
        "RTMAX" => Some(RT_MAX),
        name => match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => offset(rest, '+').map(|n| RT_MIN.saturating_add(n)),
            (_, Some(rest)) => offset(rest, '-').map(|n| RT_MAX.saturating_sub(n)),
            _ => SIGNALS
                .iter()
                .position(|s| *s == name)
                .and_then(|n| i32::try_from(n).ok()),
        },
    };
    number.filter(|n| (1..=RT_MAX).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("10m", Some(10 << 20)),
            ("1G", Some(1 << 30)),
            ("2kb", Some(2048)),
            ("7", Some(7)),
            ("1.5k", Some(1536)),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(bytes("2t"), Some(2 << 40));
        for bad in ["", "x", "-1", "m"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn signals() {
        for (text, expected) in [
            ("TERM", Some(15)),
            ("sigkill", Some(9)),
            ("9", Some(9)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("0", None),
            ("65", None),
            ("NOPE", None),
            ("", None),
            ("SIG", None),
        ] {
            assert_eq!(signal(text), expected, "{text}");
        }
    }
}
