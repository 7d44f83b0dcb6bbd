//! One record as a line of JSON, byte for byte as Docker's json-file driver writes it.

use crate::record::Stream;

/// Appends `{"log":"…","stream":"…","time":"…"}` and a newline. `time` is RFC3339Nano text.
pub(crate) fn line(out: &mut Vec<u8>, log: &[u8], stream: Stream, time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, log);
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.as_str().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
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

fn escape(out: &mut Vec<u8>, mut rest: &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(log: &[u8]) -> String {
        let mut out = Vec::new();
        line(&mut out, log, Stream::Stderr, "T");
        String::from_utf8(out).expect("UTF-8")
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
            ("\u{2028}".as_bytes(), r"\u2028"),
            (b"\x7f", "\x7f"),
        ] {
            assert_eq!(
                escaped(log),
                format!("{{\"log\":\"{want}\",\"stream\":\"stderr\",\"time\":\"T\"}}\n")
            );
        }
    }
}
