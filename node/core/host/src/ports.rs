//! Docker's port words: `80/tcp`, `8000-8010`.

/// Transport protocols that can be published.
pub const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// `80/tcp` → (80, "tcp"); the protocol defaults to tcp.
pub fn parse(text: &str) -> Result<(u16, &str), String> {
    let (port, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let proto = if proto.is_empty() { "tcp" } else { proto };
    if !PROTOCOLS.contains(&proto) {
        return Err(format!("invalid proto: {proto}"));
    }
    let port = port
        .parse::<u16>()
        .map_err(|_| format!("invalid port '{port}': invalid syntax"))?;
    Ok((port, proto))
}

/// A host port as written: nothing (any), one port, or a range from which a free one is taken.
pub fn parse_host(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let bad = || format!("invalid port specification: \"{text}\"");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = first.parse().map_err(|_| bad())?;
    let last: u16 = last.parse().map_err(|_| bad())?;
    if last < first {
        Err(bad())
    } else {
        Ok((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        assert_eq!(parse("80/udp"), Ok((80, "udp")));
        assert_eq!(parse("80"), Ok((80, "tcp")));
        assert!(parse("80/icmp").is_err() && parse("65536").is_err() && parse("").is_err());
        assert_eq!(parse_host(""), Ok((0, 0)));
        assert_eq!(parse_host("80-90"), Ok((80, 90)));
        assert!(parse_host("90-80").is_err());
    }
}
