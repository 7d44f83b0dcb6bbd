//! What an answer said, without what differs from run to run: ids, times, addresses, sizes, paths of the host.

use crate::story::Step;
use regex::Regex;
use serde_json::{Map, Value};
use shoal_tests_harness::Answer;
use std::sync::LazyLock;

/// One answer, comparable.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Method, target and body as the story has them.
    pub request: String,
    /// Status, type, and names of what headers there are beyond those of every answer.
    pub head: String,
    pub body: Value,
}

/// Headers that say nothing about the answer, or are compared elsewhere.
const EVERYWHERE: [&str; 12] = [
    "api-version",
    "docker-experimental",
    "ostype",
    "server",
    "date",
    "content-length",
    "transfer-encoding",
    "connection",
    "content-type",
    "swarm",
    "upgrade",
    "sec-websocket-accept",
];

/// Members that hold another number each time.
const NUMBERS: [&str; 19] = [
    "PublicPort",
    "Pid",
    "pid",
    "Size",
    "SizeRw",
    "SizeRootFs",
    "SharedSize",
    "VirtualSize",
    "LayersSize",
    "Created",
    "time",
    "timeNano",
    "mtime",
    "size",
    "SpaceReclaimed",
    "TotalSize",
    "Reclaimable",
    "execDuration",
    "MemTotal",
];

impl Told {
    pub fn of(step: &Step, answer: &Answer, prefix: &str) -> Told {
        let mut names: Vec<String> = answer
            .headers
            .iter()
            .filter(|(name, _)| !EVERYWHERE.contains(&name.as_str()))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        let kind = answer.header("content-type").unwrap_or("-");
        let head = format!("{} {kind} {}", answer.status, names.join(" "));
        let mut body = content(answer, kind);
        if step.shape && answer.status < 300 {
            body = shape(&body);
        } else {
            plain(&mut body, "", prefix);
        }
        Told {
            request: step.title(),
            head: head.trim_end().to_owned(),
            body,
        }
    }

    /// As recordings have it.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n\n", self.request, self.head, self.body)
    }

    pub fn read(text: &str) -> Vec<Told> {
        let parts = text.split("\n\n").filter(|part| !part.trim().is_empty());
        parts
            .map(|part| {
                let mut lines = part.splitn(3, '\n');
                let mut next = || lines.next().expect("three lines").to_owned();
                let (request, head) = (next(), next());
                let body = serde_json::from_str(&next()).expect("a recorded body");
                Told { request, head, body }
            })
            .collect()
    }
}

/// JSON as itself, lines of JSON as a list, frames and texts as text, archives and the rest as a word.
fn content(answer: &Answer, kind: &str) -> Value {
    if answer.body.is_empty() {
        return Value::Null;
    }
    let text = String::from_utf8_lossy(&answer.body);
    if kind.starts_with("application/json") || kind.contains("jsonl") || kind.contains("json-seq") {
        let mut values = Vec::new();
        for value in serde_json::Deserializer::from_str(&text.replace('\u{1e}', "")).into_iter() {
            match value {
                Ok(value) => values.push(value),
                Err(error) => return Value::String(format!("broken JSON ({error}): {text}")),
            }
        }
        return match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
    }
    if kind.contains("tar") || kind.contains("octet-stream") {
        return Value::String("<an archive>".into());
    }
    Value::String(text.into_owned())
}

static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rules = [
        (r"0001-01-01T00:00:00Z", "<never>"),
        (
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
            "<time>",
        ),
        (r"^Up (Less than a second|1 second|\d seconds)\b", "Up <a moment>"),
        (r"\b[0-9a-f]{64}\b", "<id>"),
        (r"\b[0-9a-f]{12}\b", "<short>"),
        (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
        (r"\b(172|10|192)\.\d+\.\d+\.\d+\b", "<ip>"),
        (r"(/[^/\s:]+)+/(containers|volumes)/", "<root>/$2/"),
        (r"(/[^/\s:]+)+/(diff|merged|work)\b", "<layer>/$2"),
        (r"<layer>/diff(:<layer>/diff)+", "<layer>/diff"),
        (
            r"(/[^/\s:]+)*/run/docker/netns/[\w<>]+|/proc/\d+/ns/net",
            "<netns>",
        ),
    ];
    let compiled = rules
        .into_iter()
        .map(|(rule, word)| (Regex::new(rule).expect("a rule"), word));
    compiled.collect()
});

fn word(text: &str, prefix: &str) -> String {
    let mut text = text.replace(prefix, "{p}");
    for (rule, word) in RULES.iter() {
        text = rule.replace_all(&text, *word).into_owned();
    }
    text
}

fn plain(value: &mut Value, key: &str, prefix: &str) {
    match value {
        Value::String(text) if key == "HostPort" && text.len() == 5 => *text = "<port>".into(),
        Value::String(text) if key == "execDuration" && text.len() == 1 => *text = "<seconds>".into(),
        Value::String(text) => *text = word(text, prefix),
        // None and "not counted" are told apart; the rest differs each time.
        Value::Number(number) if NUMBERS.contains(&key) && number.as_i64().is_none_or(|n| n > 0) => {
            *value = Value::String("<n>".into());
        }
        Value::Array(list) => {
            for value in list.iter_mut() {
                plain(value, key, prefix);
            }
            // Docker lists these in an order of chance.
            let changes = list
                .iter()
                .all(|item| item["Kind"].is_number() && item["Path"].is_string());
            if changes
                || matches!(
                    key,
                    "Mounts" | "Volumes" | "Images" | "Containers" | "ExecIDs" | "VolumesDeleted"
                )
            {
                list.sort_by_key(|item| (item["Path"].to_string(), item.to_string()));
            }
        }
        Value::Object(members) => {
            let old = std::mem::take(members);
            for (key, mut value) in old {
                plain(&mut value, &key, prefix);
                members.insert(word(&key, prefix), value);
            }
        }
        _ => {}
    }
}

/// Members and kinds of values.
fn shape(value: &Value) -> Value {
    let kind = |text: &str| Value::String(text.to_owned());
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => kind("<bool>"),
        Value::Number(_) => kind("<number>"),
        Value::String(_) => kind("<text>"),
        Value::Array(list) => Value::Array(list.first().map(shape).into_iter().collect()),
        Value::Object(members) => {
            let all = members.iter().map(|(key, value)| (key.clone(), shape(value)));
            Value::Object(all.collect::<Map<_, _>>())
        }
    }
}

/// Where two bodies differ, as JSON pointers with both values.
pub fn differences(want: &Value, have: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    compare("", Some(want), Some(have), &mut found);
    found
}

fn compare(at: &str, want: Option<&Value>, have: Option<&Value>, found: &mut Vec<(String, String)>) {
    match (want, have) {
        (Some(Value::Object(want)), Some(Value::Object(have))) => {
            let keys: std::collections::BTreeSet<&String> = want.keys().chain(have.keys()).collect();
            for key in keys {
                compare(&format!("{at}/{key}"), want.get(key), have.get(key), found);
            }
        }
        (Some(Value::Array(want)), Some(Value::Array(have))) if want.len() == have.len() => {
            for (n, (want, have)) in want.iter().zip(have).enumerate() {
                compare(&format!("{at}/{n}"), Some(want), Some(have), found);
            }
        }
        (want, have) if want == have => {}
        (want, have) => {
            let show = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
            let at = if at.is_empty() { "body" } else { at };
            found.push((at.to_owned(), format!("{} but {}", show(want), show(have))));
        }
    }
}
