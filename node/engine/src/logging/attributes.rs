//! The labels and environment variables of a container that its log's options ask for.

use crate::containers::Record;
use regex::Regex;
use std::collections::BTreeMap;

/// By name, each with what `rename` makes of it.
pub fn extra(record: &Record, rename: impl Fn(&str) -> String) -> Result<BTreeMap<String, String>, String> {
    let options = &record.host.log_config.config;
    let list = |key: &str| options.get(key).filter(|text| !text.is_empty());
    let expression = |key: &str| {
        let compile = |text: &String| Regex::new(text).map_err(|e| wrong(text, &e));
        list(key).map(compile).transpose()
    };
    let mut out = BTreeMap::new();
    let labels = &record.config.labels;
    for wanted in list("labels").into_iter().flat_map(|text| text.split(',')) {
        if let Some(value) = labels.get(wanted) {
            out.insert(rename(wanted), value.clone());
        }
    }
    if let Some(expression) = expression("labels-regex")? {
        for (key, value) in labels.iter().filter(|(key, _)| expression.is_match(key)) {
            out.insert(rename(key), value.clone());
        }
    }
    let env: BTreeMap<&str, &str> = record
        .config
        .env
        .iter()
        .filter_map(|e| e.split_once('='))
        .collect();
    for wanted in list("env").into_iter().flat_map(|text| text.split(',')) {
        if let Some(value) = env.get(wanted) {
            out.insert(rename(wanted), value.to_string());
        }
    }
    if let Some(expression) = expression("env-regex")? {
        for (key, value) in env.iter().filter(|(key, _)| expression.is_match(key)) {
            out.insert(rename(key), value.to_string());
        }
    }
    Ok(out)
}

/// What goes into each record of a json-file; empty for nothing.
pub fn json(record: &Record, tag: String) -> Result<String, String> {
    let mut attributes = extra(record, str::to_owned)?;
    if !tag.is_empty() {
        attributes.insert("tag".into(), tag);
    }
    Ok(shoal_node_drivers_logs::attributes(&attributes))
}

/// Go's words for the mistakes that are made most.
fn wrong(text: &str, error: &regex::Error) -> String {
    let error = error.to_string();
    let why = if error.contains("unclosed group") {
        "missing closing )"
    } else if error.contains("unclosed character class") {
        "missing closing ]"
    } else if error.contains("unopened group") {
        "unexpected )"
    } else if error.contains("repetition operator missing expression") {
        "missing argument to repetition operator"
    } else {
        "invalid expression"
    };
    format!("error parsing regexp: {why}: `{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_what_was_asked_for() {
        let mut record = Record::default();
        for (key, value) in [("a", "1"), ("b.x", "<2>"), ("b.y", "3")] {
            record.config.labels.insert(key, value.to_string());
        }
        record.config.env = vec!["HOME=/h".to_string(), "ODD".to_string(), "HUE=red".to_string()].into();
        let options = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        };
        assert_eq!(json(&record, String::new()), Ok(String::new()));
        record.host.log_config.config = options(&[
            ("labels", "a,none"),
            ("labels-regex", "^b\\.x"),
            ("env", "HUE,ODD"),
        ]);
        assert_eq!(
            json(&record, "t".into()).as_deref(),
            Ok(r#"{"HUE":"red","a":"1","b.x":"\u003c2\u003e","tag":"t"}"#)
        );
        record.host.log_config.config = options(&[("env-regex", "(")]);
        assert_eq!(
            json(&record, String::new()).unwrap_err(),
            "error parsing regexp: missing closing ): `(`"
        );
    }
}
