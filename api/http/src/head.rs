//! Heads of requests and replies as bytes: where they end, what they say about framing, and how one that takes over looks
//! to either side.

/// What a head says about framing and takeover.
pub(crate) struct Facts {
    pub upgrade: bool,
    pub takes_over: bool,
    pub length: Length,
}

pub(crate) enum Length {
    Bytes(u64),
    Chunked,
}

impl Facts {
    pub fn of(head: &[u8]) -> Self {
        let mut lines = head
            .split(|b| *b == b'\n')
            .skip_while(|line| line.trim_ascii().is_empty());
        let first = lines.next().unwrap_or_default();
        let mut facts = Self {
            upgrade: false,
            takes_over: takes_over(first),
            length: Length::Bytes(0),
        };
        for line in lines {
            let Some(colon) = line.iter().position(|b| *b == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"upgrade") {
                facts.upgrade = true;
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                facts.length = Length::Chunked;
            } else if name.eq_ignore_ascii_case(b"content-length") && !matches!(facts.length, Length::Chunked)
            {
                let count = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(0);
                facts.length = Length::Bytes(count);
            }
        }
        facts
    }
}

/// `POST [/v1.xx]/containers/{id}/attach` and `POST [/v1.xx]/exec/{id}/start` over HTTP/1.1.
fn takes_over(first_line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(first_line) else {
        return false;
    };
    let mut words = text.split_ascii_whitespace();
    let (Some("POST"), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_some_and(|part| part.starts_with("v1.")) {
        parts.next();
    }
    let parts: Vec<&str> = parts.take(4).collect();
    matches!(parts[..], ["containers", _, "attach"] | ["exec", _, "start"])
}

/// The head with its target escaped, if it holds bytes that a URI may not hold: Go's server takes `?filters={"label":["a"]}`
/// as it stands, and people write it so; hyper refuses it. Escaped bytes mean the same.
pub(crate) fn with_escaped_target(head: &[u8]) -> Option<Vec<u8>> {
    let start = head.iter().position(|b| !b.is_ascii_whitespace())?;
    let line = start + head[start..].iter().position(|b| *b == b'\n')?;
    let target = start + head[start..line].iter().position(|b| *b == b' ')? + 1;
    let end = target + head[target..line].iter().position(|b| *b == b' ')?;
    if !head[target..end].iter().any(|b| is_foreign(*b)) {
        return None;
    }
    let mut text = head[..target].to_vec();
    for byte in &head[target..end] {
        match is_foreign(*byte) {
            true => text.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => text.push(*byte),
        }
    }
    text.extend_from_slice(&head[end..]);
    Some(text)
}

/// Not in a URI (RFC 3986, section 2), but in a target that Go takes: everything but control characters.
fn is_foreign(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80..
    )
}

/// One past the end of a reply's head; an interim `100 Continue` before it goes along.
pub(crate) fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let end = end_of_head(bytes)?;
    if bytes.starts_with(b"HTTP/1.1 100 ") {
        return end_of_reply(&bytes[end..]).map(|more| end + more);
    }
    Some(end)
}

/// One past the blank line that ends a head.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4);
    let lf = bytes.windows(2).position(|two| two == b"\n\n").map(|at| at + 2);
    match (crlf, lf) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The head with a request to upgrade in place of whatever it said about the connection.
pub(crate) fn with_upgrade(head: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(head.len() + 40);
    let mut lines = head.split_inclusive(|b| *b == b'\n');
    for line in lines.by_ref() {
        text.extend_from_slice(line);
        if !line.trim_ascii().is_empty() {
            break;
        }
    }
    // What is refused ends the connection where the client said so.
    let (mut rest, mut close) = (Vec::new(), "");
    for line in lines {
        match line.split_at_checked(11) {
            Some((name, value)) if name.eq_ignore_ascii_case(b"connection:") => {
                if value.to_ascii_lowercase().windows(5).any(|w| w == b"close") {
                    close = ", close";
                }
            }
            _ => rest.extend_from_slice(line),
        }
    }
    text.extend_from_slice(format!("Connection: Upgrade{close}\r\nUpgrade: tcp\r\n").as_bytes());
    text.extend_from_slice(&rest);
    text
}

/// The `101` as a `200` without the headers of an upgrade; other heads as they are.
pub(crate) fn without_upgrade(head: &[u8]) -> Vec<u8> {
    if head.starts_with(b"HTTP/1.1 100 ")
        && let Some(end) = end_of_head(head)
    {
        return [&head[..end], &without_upgrade(&head[end..])].concat();
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return head.to_vec();
    }
    let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
    for line in head.split_inclusive(|b| *b == b'\n').skip(1) {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"content-type") {
            // Docker calls every stream raw where nobody asked for an upgrade, framed ones too.
            text.extend_from_slice(b"Content-Type: application/vnd.docker.raw-stream\r\n");
        } else if !name.eq_ignore_ascii_case(b"connection") && !name.eq_ignore_ascii_case(b"upgrade") {
            text.extend_from_slice(line);
        }
    }
    text
}
