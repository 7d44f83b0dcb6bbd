//! The definition of the API, version 1.55, reduced to the groups that one node answers alone, and a check of answers by it.

use serde_json::{Map, Value};
use std::sync::LazyLock;

static DEFINITION: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../schema/v1.55.json")).expect("the definition is JSON")
});

/// An operation of the definition.
pub struct Operation {
    pub method: String,
    /// With `{id}` and the like.
    pub path: String,
    value: &'static Value,
}

pub fn operations() -> Vec<Operation> {
    let paths = DEFINITION["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, methods)| {
        methods
            .as_object()
            .into_iter()
            .flatten()
            .map(|(method, value)| Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                value,
            })
    });
    all.collect()
}

impl Operation {
    /// Whether a request, as written in a story, is one of this operation.
    pub fn takes(&self, method: &str, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or(target);
        let (want, have): (Vec<&str>, Vec<&str>) =
            (self.path.split('/').collect(), path.split('/').collect());
        let fixed = |at: usize| matches!(have.get(at), Some(&"json" | &"create" | &"prune"));
        self.method == method
            && want.len() == have.len()
            && want
                .iter()
                .zip(&have)
                .enumerate()
                .all(|(at, (want, have))| want == have || want.starts_with('{') && !(at == 2 && fixed(at)))
    }

    /// Names of what a client may give in the query.
    pub fn query(&self) -> Vec<&'static str> {
        let all = self.value["parameters"].as_array().into_iter().flatten();
        all.filter(|p| p["in"] == "query")
            .filter_map(|p| p["name"].as_str())
            .collect()
    }

    /// What a body of this status must be; None where there is none.
    pub fn answer(&self, status: u16) -> Option<&'static Value> {
        self.value["responses"].get(status.to_string())?.get("schema")
    }

    pub fn statuses(&self) -> Vec<&'static str> {
        self.value["responses"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(code, _)| code.as_str())
            .collect()
    }
}

/// What of `value` its schema does not allow, each with its place.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        return check(&DEFINITION["definitions"][name], value, at, found);
    }
    let parts = schema["allOf"].as_array();
    for part in parts.into_iter().flatten() {
        check(part, value, at, found);
    }
    // Docker's definition marks few of the members that it leaves null; Go's nil lists and maps are null everywhere.
    let kind = schema["type"].as_str();
    if value.is_null() {
        if !matches!(kind, None | Some("array" | "object")) && schema["x-nullable"] != true {
            found.push(format!("{at} is null, not {}", kind.unwrap_or_default()));
        }
        return;
    }
    let fits = match kind {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits {
        return found.push(format!("{at} is no {}: {value}", kind.unwrap_or_default()));
    }
    if let (Some(allowed), true) = (schema["enum"].as_array(), value.is_string())
        && !allowed.contains(value)
    {
        found.push(format!("{at} is none of {allowed:?}: {value}"));
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema["items"].is_object() {
            check(&schema["items"], item, &format!("{at}/{n}"), found);
        }
    }
    let Some(members) = value.as_object() else { return };
    object(schema, members, at, found);
}

fn object(schema: &Value, members: &Map<String, Value>, at: &str, found: &mut Vec<String>) {
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !members.contains_key(name) {
            found.push(format!("{at} lacks {name}"));
        }
    }
    let known = schema["properties"].as_object();
    let others = &schema["additionalProperties"];
    for (key, member) in members {
        let at = format!("{at}/{key}");
        match known.and_then(|known| known.get(key)) {
            Some(schema) => check(schema, member, &at, found),
            None if others.is_object() => check(others, member, &at, found),
            // A member that the definition does not have. Parts of `allOf` do not know of each other's members.
            None if known.is_some() && schema["x-part"] != true && *others != true => {
                found.push(format!("{at} is not in the definition"));
            }
            None => {}
        }
    }
}
