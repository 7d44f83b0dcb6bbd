//! The command line and the text of `daemon.json` laid over each other, without a file system: values in, a
//! configuration out. Refusals are Docker's, word for word.

use super::{Config, Error, Loaded, check};
use crate::args::Args;
use crate::options::{Known, Shape, Use, by_key};
use serde_json::{Map, Value};
use std::path::Path;

/// Objects that are a value. Others only group keys: `{"proxies": {"http-proxy": …}}` is `http-proxy`.
const FLAT: [&str; 6] = [
    "builder",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "runtimes",
];
/// May stand in both places: the file adds to the flags.
const ADDED_UP: [&str; 1] = ["runtimes"];

pub fn merge(args: &Args, file: Option<(&Path, &str)>) -> Result<Loaded, Error> {
    let refuse = |reason: String| match file {
        Some((path, _)) => Error::File {
            file: path.to_path_buf(),
            reason,
        },
        None => Error::Invalid(reason),
    };
    let mut merged = match file {
        Some((_, text)) => read(text, &args.options).map_err(refuse)?,
        None => Map::new(),
    };
    for (key, value) in &args.options {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(from_file)), Value::Object(from_flag)) => {
                from_file.extend(from_flag.clone());
            }
            _ => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    let mut warnings = Vec::new();
    for key in merged.keys() {
        if by_key(key).is_some_and(|known| known.used == Use::NoMeaning) {
            warnings.push(format!("option {key:?} has no effect here and is ignored"));
        }
    }
    merged.retain(|key, value| !value.is_null() && by_key(key).is_some_and(|known| known.used == Use::Works));
    let config: Config =
        serde_json::from_value(Value::Object(merged)).map_err(|e| refuse(format!("invalid JSON: {e}")))?;
    check::check(&config).map_err(|reason| {
        refuse(match file {
            // Docker looks for these after all the others.
            _ if reason.starts_with(check::CONFLICT) => reason,
            Some(_) => {
                format!("merged configuration validation from file and command line flags failed: {reason}")
            }
            None => reason,
        })
    })?;
    Ok(Loaded {
        config,
        args: args.clone(),
        warnings,
    })
}

/// The file's settings by key, grouping objects taken apart.
fn read(text: &str, flags: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let whole: Value = if text.trim().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_str(text).map_err(|e| {
            let reason = if e.is_eof() {
                "unexpected end of JSON input".to_owned()
            } else {
                e.to_string()
            };
            format!("invalid JSON: {reason}")
        })?
    };
    let Value::Object(whole) = whole else {
        return Err(format!(
            "invalid JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            kind(&whole)
        ));
    };
    let mut settings = Map::new();
    take_apart(whole, &mut settings, 0);
    let unknown: Vec<&str> = settings
        .keys()
        .map(String::as_str)
        .filter(|key| by_key(key).is_none())
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        ));
    }
    let mut both: Vec<String> = settings
        .iter()
        .filter(|(key, value)| !value.is_null() && !ADDED_UP.contains(&key.as_str()))
        .filter_map(|(key, from_file)| {
            let from_flag = flags.get(key)?;
            let (from_flag, from_file) = (printed(from_flag), printed(from_file));
            Some(format!("{key}: (from flag: {from_flag}, from file: {from_file})"))
        })
        .collect();
    both.sort();
    if !both.is_empty() {
        return Err(format!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            both.join(", ")
        ));
    }
    for (key, value) in &settings {
        if let Some(known) = by_key(key) {
            typed(known, value)?;
        }
    }
    Ok(settings)
}

fn take_apart(object: Map<String, Value>, out: &mut Map<String, Value>, depth: usize) {
    for (key, value) in object {
        match value {
            Value::Object(inner) if !FLAT.contains(&key.as_str()) && depth < 8 => {
                take_apart(inner, out, depth + 1);
            }
            value => drop(out.insert(key, value)),
        }
    }
}

/// Refuses a value of another kind than the option's, in the words of Go's decoder.
fn typed(known: &Known, value: &Value) -> Result<(), String> {
    let fits = match (known.shape, value) {
        (_, Value::Null)
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Text, Value::String(_))
        | (Shape::Map, Value::Object(_)) => true,
        (Shape::Size, Value::Number(_) | Value::String(_)) => true,
        (Shape::Number, Value::Number(number)) => number.is_i64(),
        // Ulimits are a list as flags and an object in the file.
        (Shape::List, Value::Array(_)) => true,
        (Shape::List, Value::Object(_)) => known.key == "default-ulimits",
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let wanted = match known.shape {
        Shape::Bool => "bool",
        Shape::Text | Shape::Size => "string",
        Shape::Number => "int",
        Shape::List => "[]string",
        Shape::Map => "map[string]string",
    };
    Err(format!(
        "invalid JSON: json: cannot unmarshal {} into Go struct field Config.{} of type {wanted}",
        kind(value),
        known.key
    ))
}

/// What Go calls it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// As Go's `%v` prints it.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(printed).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", printed(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}
