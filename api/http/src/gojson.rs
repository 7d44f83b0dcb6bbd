//! Decoding a request's JSON, with failures in the words of Go's decoder, which clients show and tests match.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shoal_api_types::go::{decode_value, drop_nulls};

/// Reads exactly one value.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("invalid JSON: got EOF while reading request body".into());
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) => return Err(format!("invalid JSON: {}", syntax(bytes, &error))),
        None => return Err("invalid JSON: got EOF while reading request body".into()),
    };
    if !bytes[values.byte_offset()..].iter().all(u8::is_ascii_whitespace) {
        return Err("unexpected content after JSON".into());
    }
    match value {
        // As Go: nothing is set.
        Value::Null => {
            decode_value(Value::Object(Map::new())).map_err(|error| format!("invalid JSON: {error}"))
        }
        // No request is a list; a derived decoder would take one for the members in their order.
        Value::Array(_) => Err(format!("invalid JSON: {}", mismatch::<T>(&value))),
        mut value => {
            drop_nulls(&mut value);
            serde_json::from_value(value.clone())
                .map_err(|_| format!("invalid JSON: {}", mismatch::<T>(&value)))
        }
    }
}

/// Says what is wrong with the text at the place where reading stopped.
fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
    }
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        return "exceeded max depth".into();
    }
    let lines: usize = bytes
        .split_inclusive(|b| *b == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let at = (lines + error.column().saturating_sub(1)).min(bytes.len().saturating_sub(1));
    if message.starts_with("expected ident")
        && let Some((literal, wanted)) = literal(bytes, at)
    {
        let found = quoted(bytes[at]);
        return format!("invalid character {found} in literal {literal} (expecting '{wanted}')");
    }
    let context = if message.starts_with("key must be a string") {
        "looking for beginning of object key string"
    } else if message.starts_with("expected `:`") {
        "after object key"
    } else if message.starts_with("expected `,` or `}`") {
        "after object key:value pair"
    } else if message.starts_with("expected `,` or `]`") {
        "after array element"
    } else if message.starts_with("control character") {
        "in string literal"
    } else if message.starts_with("invalid escape") {
        "in string escape code"
    } else if message.starts_with("trailing comma") {
        "looking for beginning of value"
    } else if message.starts_with("invalid number") {
        "in numeric literal"
    } else {
        "looking for beginning of value"
    };
    format!("invalid character {} {context}", quoted(bytes[at]))
}

/// The word that the bytes before `at` begin, and what should stand there.
fn literal(bytes: &[u8], at: usize) -> Option<(&'static str, char)> {
    let words = ["null", "true", "false"];
    words.into_iter().find_map(|word| {
        let begun = (1..word.len())
            .rev()
            .find(|n| bytes[..at].ends_with(&word.as_bytes()[..*n]))?;
        Some((word, char::from(word.as_bytes()[begun])))
    })
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\n' => r"'\n'".into(),
        b'\t' => r"'\t'".into(),
        b'\r' => r"'\r'".into(),
        0x20..=0x7e => format!("'{}'", byte as char),
        other => format!(r"'\x{other:02x}'"),
    }
}

/// Says which member has the wrong type. serde does not tell where inside flattened structs, so the member is found by
/// trying ever smaller parts of the value; only on this path, and only over a bounded body.
fn mismatch<T: DeserializeOwned>(value: &Value) -> String {
    let mut path: Vec<String> = Vec::new();
    let mut culprit = value;
    let mut reason = refusal::<T>(value).unwrap_or_default();
    'deeper: for _ in 0..16 {
        match culprit {
            Value::Object(members) => {
                for (key, member) in members {
                    path.push(key.clone());
                    if let Some(why) = refusal::<T>(&wrap(&path, member)) {
                        (culprit, reason) = (member, why);
                        continue 'deeper;
                    }
                    path.pop();
                }
            }
            Value::Array(items) => {
                for item in items {
                    path.push("[]".into());
                    if let Some(why) = refusal::<T>(&wrap(&path, item)) {
                        (culprit, reason) = (item, why);
                        continue 'deeper;
                    }
                    path.pop();
                }
            }
            _ => {}
        }
        break;
    }
    let expected = reason.rsplit_once("expected ").map_or("", |(_, what)| what);
    let target = go_type(expected.split(" at line").next().unwrap_or_default());
    let kind = match culprit {
        Value::Number(number) if target.contains("int") => format!("number {number}"),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Bool(_) => "bool".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
        Value::Null => "null".into(),
    };
    if path.is_empty() {
        let name = std::any::type_name::<T>();
        let mut words = name.rsplit("::");
        let (name, module) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        return format!("json: cannot unmarshal {kind} into Go value of type {module}.{name}");
    }
    let path: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|part| *part != "[]")
        .collect();
    format!(
        "json: cannot unmarshal {kind} into Go struct field {}.{} of type {target}",
        go_struct(std::any::type_name::<T>()),
        path.join(".")
    )
}

/// Docker's name of a request; the parts of a container's creation have none, in Go's words.
fn go_struct(name: &str) -> &'static str {
    match name.rsplit("::").next().unwrap_or_default() {
        "UpdateConfig" => "UpdateConfig",
        "VolumeCreateRequest" => "CreateOptions",
        "ExecCreateRequest" => "ExecOptions",
        "ExecStartRequest" => "ExecStartOptions",
        _ => "",
    }
}

fn refusal<T: DeserializeOwned>(value: &Value) -> Option<String> {
    serde_json::from_value::<T>(value.clone())
        .err()
        .map(|error| error.to_string())
}

/// The value that has nothing but `leaf` at `path`.
fn wrap(path: &[String], leaf: &Value) -> Value {
    path.iter()
        .rev()
        .fold(leaf.clone(), |inner, part| match part.as_str() {
            "[]" => Value::Array(vec![inner]),
            key => Value::Object(Map::from_iter([(key.to_owned(), inner)])),
        })
}

fn go_type(expected: &str) -> String {
    match expected {
        "a string" | "string" | "a borrowed string" => "string".into(),
        "a boolean" => "bool".into(),
        "i64" => "int64".into(),
        "i32" => "int32".into(),
        "u64" => "uint64".into(),
        "u32" => "uint32".into(),
        "u16" => "uint16".into(),
        "u8" => "uint8".into(),
        "f32" => "float32".into(),
        "f64" => "float64".into(),
        "a sequence" => "[]string".into(),
        "a map" => "map[string]string".into(),
        other if other.starts_with("struct ") => other["struct ".len()..]
            .split(' ')
            .next()
            .unwrap_or_default()
            .into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use shoal_api_types::container::CreateRequest;

    #[test]
    fn failures_are_worded_as_the_reference_words_them() {
        for (text, wanted) in [
            ("", "invalid JSON: got EOF while reading request body"),
            ("{", "invalid JSON: unexpected EOF"),
            (
                "[]",
                "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
            ),
            (
                r#"{"Image":5}"#,
                "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string",
            ),
            (r#"{"Image":"x"} {}"#, "unexpected content after JSON"),
            (
                r#"{"HostConfig":{"Memory":"x"}}"#,
                "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory of type int64",
            ),
            (
                "xyz",
                "invalid JSON: invalid character 'x' looking for beginning of value",
            ),
            (
                "nonsense",
                "invalid JSON: invalid character 'o' in literal null (expecting 'u')",
            ),
            (
                r#"{"Tty":tru}"#,
                "invalid JSON: invalid character '}' in literal true (expecting 'e')",
            ),
            (
                r#"{"Tty":1.5}"#,
                "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool",
            ),
            (
                r#"{"a":1 "b"}"#,
                "invalid JSON: invalid character '\"' after object key:value pair",
            ),
        ] {
            assert_eq!(
                decode::<CreateRequest>(text.as_bytes()).unwrap_err(),
                wanted,
                "{text}"
            );
        }
        assert!(decode::<CreateRequest>(b"null").is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(
            decode::<CreateRequest>(deep.as_bytes()).unwrap_err(),
            "invalid JSON: exceeded max depth"
        );
    }
}
