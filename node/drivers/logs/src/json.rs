//! A record as a line of JSON, byte for byte as Docker's json-file driver writes it, and back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::record::{Line, Stream, Time};

/// What follows the text in every record of one stream at one moment. `attrs` is a JSON object or empty.
pub(crate) fn tail(out: &mut Vec<u8>, stream: Stream, attrs: &[u8], time: &str) {
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.as_str().as_bytes());
    if !attrs.is_empty() {
        out.extend_from_slice(b"\",\"attrs\":");
        out.extend_from_slice(attrs);
        out.extend_from_slice(b",\"time\":\"");
    } else {
        out.extend_from_slice(b"\",\"time\":\"");
    }
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// Attributes as the JSON object that goes into every record; empty for none.
pub fn attributes(attributes: &BTreeMap<String, String>) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut out = Vec::new();
    for (key, value) in attributes {
        out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
        escape(&mut out, key.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape(&mut out, value.as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// Appends one record, whose end `tail` is.
pub(crate) fn line(out: &mut Vec<u8>, text: &[u8], tail: &[u8]) {
    out.reserve(text.len() + tail.len() + 16);
    out.extend_from_slice(b"{\"log\":\"");
    let (body, newline) = match text {
        [body @ .., b'\n'] => (body, &b"\\n"[..]),
        body => (body, &b""[..]),
    };
    let (special, high) = classes(body);
    if special == 0 && (high < 0x80 || plain_text(body)) {
        out.extend_from_slice(body);
    } else {
        escape(out, body);
    }
    out.extend_from_slice(newline);
    out.extend_from_slice(tail);
}

/// Whether there is a byte to be escaped, and all bytes or'ed together. Written so that it becomes vector code: this looks at
/// every byte that a container prints.
fn classes(bytes: &[u8]) -> (u8, u8) {
    let (mut special, mut high) = (0u8, 0u8);
    for &b in bytes {
        special |= u8::from(b < 0x20)
            | u8::from(b == b'"')
            | u8::from(b == b'\\')
            | u8::from(b == b'<')
            | u8::from(b == b'>')
            | u8::from(b == b'&');
        high |= b;
    }
    (special, high)
}

/// Whether bytes beyond ASCII can stay: UTF-8, without the two separators that Docker escapes.
fn plain_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
        && memchr::memchr_iter(0xe2, bytes)
            .all(|at| bytes.get(at + 1) != Some(&0x80) || !matches!(bytes.get(at + 2), Some(0xa8 | 0xa9)))
}

/// Which bytes can be copied as they are: printable ASCII but for JSON's own and what Docker escapes for HTML.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        plain[byte] = !matches!(byte as u8, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    plain
};

pub(crate) fn escape(out: &mut Vec<u8>, mut rest: &[u8]) {
    while !rest.is_empty() {
        let plain = rest
            .iter()
            .position(|&b| !PLAIN[usize::from(b)])
            .unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&byte) = rest.first() else { return };
        let used = match byte {
            b'"' | b'\\' => {
                out.extend_from_slice(&[b'\\', byte]);
                1
            }
            b'\n' => {
                out.extend_from_slice(b"\\n");
                1
            }
            b'\r' => {
                out.extend_from_slice(b"\\r");
                1
            }
            0..0x80 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
                1
            }
            _ => character(out, rest),
        };
        rest = &rest[used..];
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// One character beyond ASCII; a byte that is not UTF-8 becomes `\ufffd`, as in Docker. Returns the bytes used.
fn character(out: &mut Vec<u8>, rest: &[u8]) -> usize {
    let piece = &rest[..rest.len().min(4)];
    let valid = match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        None => {
            out.extend_from_slice(b"\\ufffd");
            1
        }
        Some(separator @ ('\u{2028}' | '\u{2029}')) => {
            out.extend_from_slice(if separator == '\u{2028}' {
                b"\\u2028"
            } else {
                b"\\u2029"
            });
            3
        }
        Some(other) => {
            out.extend_from_slice(&rest[..other.len_utf8()]);
            other.len_utf8()
        }
    }
}

/// Reads one line of the file (without its newline); the text is put together in `scratch`. `None` if it is not a record: a
/// torn write, a hole left by a power cut.
pub(crate) fn decode<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Line<'a>> {
    scratch.clear();
    match quick(line, scratch) {
        Some((stream, attrs, time)) => Some(Line {
            stream,
            time: Time::Text(time),
            text: scratch,
            attrs,
            piece: None,
            number: 0,
        }),
        None => slow(line, scratch),
    }
}

/// The order and spelling that this driver and Docker's use.
fn quick<'a>(line: &'a [u8], text: &mut Vec<u8>) -> Option<(Stream, &'a [u8], &'a [u8])> {
    let rest = unescape(line.strip_prefix(b"{\"log\":\"")?, text)?;
    let rest = rest.strip_prefix(b",\"stream\":\"std")?;
    let (stream, rest) = match rest.strip_prefix(b"out\",\"") {
        Some(rest) => (Stream::Stdout, rest),
        None => (Stream::Stderr, rest.strip_prefix(b"err\",\"")?),
    };
    let (attrs, rest) = match rest.strip_prefix(b"attrs\":") {
        Some(rest) => {
            let end = object(rest)?;
            (&rest[..end], rest[end..].strip_prefix(b",\"")?)
        }
        None => (&rest[..0], rest),
    };
    let time = rest.strip_prefix(b"time\":\"")?.strip_suffix(b"\"}")?;
    let plain = !time.iter().any(|b| matches!(b, b'"' | b'\\'));
    plain.then_some((stream, attrs, time))
}

/// Reads a JSON string behind its opening quote; gives what follows the closing one.
fn unescape<'a>(rest: &'a [u8], text: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        let stop = at + memchr::memchr2(b'"', b'\\', &rest[at..])?;
        text.extend_from_slice(&rest[at..stop]);
        if rest[stop] == b'"' {
            return Some(&rest[stop + 1..]);
        }
        at = stop + 2;
        match rest.get(stop + 1)? {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'b' => text.push(8),
            b'f' => text.push(12),
            c @ (b'"' | b'\\' | b'/') => text.push(*c),
            b'u' => {
                let code = hex(rest.get(at..at + 4)?)?;
                at += 4;
                // Pairs of surrogates are rare: the slow way reads them.
                let mut utf8 = [0; 4];
                text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut utf8).as_bytes());
            }
            _ => return None,
        }
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |sum, &b| Some(sum * 16 + char::from(b).to_digit(16)?))
}

/// The length of a JSON object with no object in it.
fn object(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'{'));
    if at == 0 {
        return None;
    }
    let mut quoted = false;
    loop {
        match (text.get(at)?, quoted) {
            (b'"', _) => quoted = !quoted,
            (b'\\', true) => at += 1,
            (b'}', false) => return Some(at + 1),
            (b'{', false) => return None,
            _ => {}
        }
        at += 1;
    }
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: &'a str,
}

/// Any other spelling of the same fields; extra fields are passed over.
fn slow<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Line<'a>> {
    scratch.clear();
    let json: Json<'a> = serde_json::from_slice(line).ok()?;
    scratch.extend_from_slice(json.log.as_bytes());
    let time = Time::Text(json.time.as_bytes());
    time.system()?;
    Some(Line {
        stream: if json.stream == "stderr" {
            Stream::Stderr
        } else {
            Stream::Stdout
        },
        time,
        text: scratch,
        attrs: &[],
        piece: None,
        number: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(log: &[u8], stream: Stream, attrs: &str, time: &str) -> Vec<u8> {
        let (mut out, mut end) = (Vec::new(), Vec::new());
        tail(&mut end, stream, attrs.as_bytes(), time);
        line(&mut out, log, &end);
        out
    }

    #[test]
    fn escapes_as_docker_does() {
        for (log, want) in [
            (&b"plain\n"[..], r"plain\n"),
            (b"a\"b\\c\r\n", r#"a\"b\\c\r\n"#),
            (b"\t\x00\x1b[1m", r"\u0009\u0000\u001b[1m"),
            (b"<a&b>", r"\u003ca\u0026b\u003e"),
            ("grün 漢 🐟".as_bytes(), "grün 漢 🐟"),
            (b"\xff\xc3", r"\ufffd\ufffd"),
            ("a\u{2028}".as_bytes(), r"a\u2028"),
            ("\u{2029}\n".as_bytes(), r"\u2029\n"),
            ("\u{2027}".as_bytes(), "\u{2027}"),
            (b"\x7f", "\x7f"),
            (b"\n", r"\n"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&record(log, Stream::Stderr, "", "T")),
                format!("{{\"log\":\"{want}\",\"stream\":\"stderr\",\"time\":\"T\"}}\n")
            );
        }
    }

    #[test]
    fn what_was_written_is_read_quickly() {
        let time = "2024-02-29T12:34:56.12Z";
        for log in [
            &b"plain\n"[..],
            b"",
            b"no end",
            b"a\"b\\c\r\t\x00<&>\n",
            "grün 漢 🐟\u{2028}\n".as_bytes(),
        ] {
            for attrs in ["", r#"{"a":"}\"{","b":"c"}"#] {
                let all = record(log, Stream::Stderr, attrs, time);
                let mut text = Vec::new();
                let line = &all[..all.len() - 1];
                let (stream, found, at) = quick(line, &mut text).expect("the quick way");
                assert_eq!(
                    (stream, found, at),
                    (Stream::Stderr, attrs.as_bytes(), time.as_bytes())
                );
                assert_eq!(text, log);
            }
        }
    }

    #[test]
    fn other_spellings_are_read_too_and_damage_is_not() {
        let mut scratch = Vec::new();
        let odd = br#"{ "time":"2024-02-29T12:34:56Z", "x":[{}], "stream":"stderr","log":"\ud83d\udc1f\n"}"#;
        let line = decode(odd, &mut scratch).expect("a record");
        assert_eq!((line.stream, line.text), (Stream::Stderr, "🐟\n".as_bytes()));
        let fish = br#"{"log":"\ud83d\udc1f","stream":"stdout","time":"2024-02-29T12:34:56Z"}"#;
        assert_eq!(
            decode(fish, &mut scratch).expect("a record").text,
            "🐟".as_bytes()
        );
        for bad in [
            &b""[..],
            b"{",
            b"{\"log\":\"x",
            b"\0\0\0",
            br#"{"log":"x","stream":"stdout","time":"yesterday"}"#,
            br#"{"log":"x","stream":"stdout"}"#,
        ] {
            let found = decode(bad, &mut scratch);
            assert!(found.is_none_or(|line| line.time.system().is_none()), "{bad:?}");
        }
    }
}
