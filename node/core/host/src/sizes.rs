//! Sizes as users of Docker write them.

/// Bytes of `10`, `10b`, `10k`, `1.5MB`, `1GiB`, a sign before it, all units powers of 1024. None for what is no size.
pub fn bytes(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let end = digits
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(digits.len());
    let number: f64 = digits[..end].parse().ok()?;
    let unit = digits[end..].trim().to_ascii_lowercase();
    let unit = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let power = ["", "k", "m", "g", "t", "p"]
        .iter()
        .position(|known| *known == unit)?;
    let bytes = sign * number * 1024f64.powi(i32::try_from(power).ok()?);
    (bytes.abs() < 9e18).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, size) in [
            ("10", Some(10)),
            ("10b", Some(10)),
            ("10k", Some(10 << 10)),
            ("1.5MB", Some(3 << 19)),
            ("1 GiB", Some(1 << 30)),
            ("-1", Some(-1)),
            ("2p", Some(2 << 50)),
            ("9000000000000p", None),
            ("", None),
            ("zz", None),
            ("1.2.3", None),
            ("10x", None),
            ("--1", None),
        ] {
            assert_eq!(bytes(text), size, "{text:?}");
        }
    }
}
