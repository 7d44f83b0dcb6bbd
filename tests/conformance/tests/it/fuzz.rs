//! Bodies, queries and names that nobody sends: every one gets an answer, and the daemon lives on.
//!
//! Valid requests are taken apart and put together wrongly: members dropped, doubled, of another type, of absurd size.
//! The fast tier runs a fixed seed; `SHOAL_FUZZ=COUNT` runs that many from the clock's seed, which it prints.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::request_raw;

/// What a client may send, whole: method, path with `{}` where a name or number goes, and body.
fn templates() -> Vec<(String, String, Value)> {
    serde_json::from_str(include_str!("requests.json")).expect("the requests are JSON")
}

/// Values that parsers and arithmetic stumble over.
fn strange(rng: &mut ChaCha8Rng) -> Value {
    let long = "é".repeat(3000);
    [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e300),
        json!(0.5),
        json!(""),
        json!("\0"),
        json!("../../../etc"),
        json!("/"),
        json!("::"),
        json!("999999999999999999999"),
        json!("-5"),
        json!("1-4294967295"),
        json!("[::1]:99999"),
        json!("a=b=c"),
        json!("\u{202e}\u{1f980}"),
        json!(long),
        json!([]),
        json!({}),
        json!([null]),
        json!([[[]]]),
        json!({"": ""}),
        json!({"a": null}),
        json!(["x", 1]),
        json!({"0/tcp": [{}]}),
        json!("true:99"),
    ]
    .choose(rng)
    .cloned()
    .unwrap_or(Value::Null)
}

/// Changes one member somewhere in `value`.
fn mutate(rng: &mut ChaCha8Rng, value: &mut Value) {
    let deeper = rng.random_bool(0.75);
    match value {
        Value::Object(map) if deeper && !map.is_empty() => {
            let at = rng.random_range(0..map.len());
            let key = map.keys().nth(at).cloned().unwrap_or_default();
            match rng.random_range(0..8) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(key.to_lowercase(), strange(rng))),
                _ => mutate(rng, &mut map[&key]),
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let at = rng.random_range(0..list.len());
            match rng.random_range(0..8) {
                0 => drop(list.remove(at)),
                1 => list.extend(vec![list[at].clone(); 300]),
                _ => mutate(rng, &mut list[at]),
            }
        }
        other => *other = strange(rng),
    }
}

/// Query and path texts, as bytes of a request line.
fn word(rng: &mut ChaCha8Rng, names: &[&str]) -> String {
    let raw = match rng.random_range(0..4) {
        0 => match strange(rng) {
            Value::String(s) => s,
            other => other.to_string(),
        },
        1 => format!(
            "{{\"{}\":{}}}",
            ["label", "status", "id", "until", "before", "reference"][rng.random_range(0..6)],
            strange(rng)
        ),
        _ => (*names.choose(rng).unwrap_or(&"f0")).to_owned(),
    };
    raw.bytes()
        .take(4000)
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[test]
fn strange_requests_are_answered_and_the_daemon_lives() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let (count, seed) = match std::env::var("SHOAL_FUZZ").ok().and_then(|n| n.parse().ok()) {
        Some(count) => (count, std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_secs())),
        None => (1500, 7),
    };
    println!("{count} requests from seed {seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pid = e.host().and_then(|h| h.daemon_pid());
    let templates = templates();
    for n in 0..count {
        let (method, path, mut body) = templates.choose(&mut rng).cloned().expect("templates");
        let names = ["f0", "f1", "f2", IMAGE, "bridge"];
        let mut filled = String::from("/v1.44");
        for (i, part) in path.split("{}").enumerate() {
            if i > 0 {
                filled += &word(&mut rng, &names);
            }
            filled += part;
        }
        for _ in 0..rng.random_range(0..4) {
            mutate(&mut rng, &mut body);
        }
        let mut bytes = if method == "GET" {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        if rng.random_bool(0.05) && !bytes.is_empty() {
            bytes.truncate(rng.random_range(0..bytes.len()));
        }
        let answer = request_raw(
            &e.socket(),
            &method,
            &filled,
            "Content-Type: application/json\r\n",
            &bytes,
        );
        let sent = || {
            format!(
                "request {n} of seed {seed}: {method} {filled} {}",
                String::from_utf8_lossy(&bytes)
            )
        };
        match answer {
            Ok(answer) => assert!(
                (200..600).contains(&answer.status),
                "{}: {}",
                sent(),
                answer.status
            ),
            Err(error) => panic!("{}: {error}", sent()),
        }
        let host = e.host().expect("ours");
        assert_eq!(host.daemon_pid(), pid);
        if n % 100 == 99 || n + 1 == count {
            let log = host.log();
            assert!(!log.contains("panicked"), "{}\n{log}", sent());
        }
    }
    assert_eq!(e.api("GET", "/_ping", None).status, 200);
    // Whatever was accepted can be listed and removed again.
    let _ = e.docker(&["swarm", "leave", "--force"]);
    for c in e
        .api("GET", "/v1.44/containers/json?all=1", None)
        .json()
        .as_array()
        .expect("a list")
    {
        let id = c["Id"].as_str().expect("an id");
        assert_eq!(
            e.api("DELETE", &format!("/v1.44/containers/{id}?force=1&v=1"), None)
                .status,
            204,
            "{c}"
        );
    }
}
