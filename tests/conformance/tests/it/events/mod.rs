//! `GET /events`: what is told of a container's, an image's, a volume's and a network's life, and how it is asked for.

mod asked;
mod told;

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{eventually, request_raw};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix seconds with a fraction, as `--since` sends them.
fn now() -> String {
    let d = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{}.{:09}", d.as_secs(), d.subsec_nanos())
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// What happened since then that passes the filters.
fn told(e: &Engine, since: &str, filters: &Value) -> Vec<Value> {
    let path = format!(
        "/v1.44/events?since={since}&until={}&filters={}",
        now(),
        escape(&filters.to_string())
    );
    let answer = e.api("GET", &path, None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn actions(events: &[Value]) -> Vec<String> {
    let mut out: Vec<String> = events
        .iter()
        .map(|event| event["Action"].as_str().expect("an action").to_owned())
        .collect();
    // Docker tells of a stop before or after the death that it brought about, as it happens.
    for at in 1..out.len() {
        if out[at - 1] == "stop" && out[at] == "die" {
            out.swap(at - 1, at);
        }
    }
    out
}

fn attribute<'a>(events: &'a [Value], action: &str, key: &str) -> &'a str {
    events
        .iter()
        .find(|event| event["Action"] == action)
        .and_then(|event| event["Actor"]["Attributes"][key].as_str())
        .unwrap_or_else(|| panic!("no {key} of {action} in {events:#?}"))
}
