//! Published ports.

use crate::commands::parse::port;
use anyhow::{Result, bail};

/// Ranges `8000-8002:80-82` become single ports.
pub fn expand(spec: &str) -> Result<Vec<(String, String, String)>> {
    let (container, ip, host) = port(spec)?;
    let (range, protocol) = container.split_once('/').unwrap_or((&container, "tcp"));
    let ends = |text: &str| -> Result<(u16, u16)> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        Ok((low.parse()?, high.parse()?))
    };
    let (low, high) = ends(range)?;
    if low == high {
        return Ok(vec![(container, ip, host)]);
    }
    let hosts = if host.is_empty() { None } else { Some(ends(&host)?) };
    if high < low || hosts.is_some_and(|(a, b)| b.checked_sub(a) != Some(high - low)) {
        bail!("invalid ranges specified for container and host Ports: {range} and {host}");
    }
    Ok((low..=high)
        .map(|p| {
            (
                format!("{p}/{protocol}"),
                ip.clone(),
                hosts.map_or(String::new(), |(a, _)| (a + (p - low)).to_string()),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_become_single_ports() {
        let all = expand("127.0.0.1:8000-8001:80-81/udp").unwrap();
        let words: Vec<_> = all.iter().map(|(c, ip, h)| format!("{ip} {h} {c}")).collect();
        assert_eq!(words, ["127.0.0.1 8000 80/udp", "127.0.0.1 8001 81/udp"]);
        assert_eq!(expand("65534-65535").unwrap().len(), 2);
    }

    #[test]
    fn ranges_that_do_not_match_are_refused() {
        // The second one wraps to the length of the other range.
        for bad in ["8000-8005:80-82", "65535-1:80-82", "82-80", "8002-8000:80-82"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
