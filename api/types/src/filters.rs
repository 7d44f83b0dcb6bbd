//! `filters=` in a query: keys with one or more values each, OR within a key, AND across keys (labels are ANDed).

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Filter values by key. Written as the map of lists of current clients; also read in the old form, a map of maps to
/// booleans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, BTreeSet<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Lists(BTreeMap<String, Vec<String>>),
    Sets(BTreeMap<String, BTreeMap<String, bool>>),
}

impl Filters {
    pub fn new() -> Self {
        Self::default()
    }
    /// Reads the query value; an empty text is no filter.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        if text.is_empty() || text == "null" {
            return Ok(Self::default());
        }
        Ok(Self(match serde_json::from_str(text)? {
            Form::Lists(map) => map
                .into_iter()
                .map(|(key, list)| (key, list.into_iter().collect()))
                .collect(),
            Form::Sets(map) => map
                .into_iter()
                .map(|(key, set)| {
                    (
                        key,
                        set.into_iter()
                            .filter(|(_, on)| *on)
                            .map(|(value, _)| value)
                            .collect(),
                    )
                })
                .collect(),
        }))
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.0.entry(key.to_owned()).or_default().insert(value.into());
    }
    pub fn contains(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }
    /// The values of `key`; empty when it was not given.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }
    /// Whether `value` is one of the values given for `key`; true when none were given.
    pub fn matches(&self, key: &str, value: &str) -> bool {
        !self.contains(key) || self.get(key).any(|given| given == value)
    }
    /// As Docker's fuzzy match: equal to or a prefix of `value`.
    pub fn matches_prefix(&self, key: &str, value: &str) -> bool {
        !self.contains(key) || self.get(key).any(|given| value.starts_with(given))
    }
    /// Every `label` given must be there: `key` alone or `key=value`.
    pub fn matches_labels<'a>(&self, key: &str, labels: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.get(key).all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => labels(name) == Some(value),
            None => labels(wanted).is_some(),
        })
    }
    /// A boolean filter such as `dangling`: None when not given, Err(value) when it is no boolean or given both ways.
    pub fn get_bool(&self, key: &str) -> Result<Option<bool>, String> {
        let mut answer = None;
        for value in self.get(key) {
            let one = match value {
                "1" | "true" | "True" | "TRUE" | "t" | "T" => true,
                "0" | "false" | "False" | "FALSE" | "f" | "F" => false,
                other => return Err(other.to_owned()),
            };
            if answer.is_some_and(|before| before != one) {
                return Err(value.to_owned());
            }
            answer = Some(one);
        }
        Ok(answer)
    }
    /// The first key that is not among `known`.
    pub fn unknown_key(&self, known: &[&str]) -> Option<&str> {
        self.0.keys().map(String::as_str).find(|key| !known.contains(key))
    }
}

impl Serialize for Filters {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let lists = Filters::parse(r#"{"label":["a=b","c"],"status":["running"]}"#).unwrap();
        let sets =
            Filters::parse(r#"{"label":{"a=b":true,"c":true},"status":{"running":true,"dead":false}}"#)
                .unwrap();
        assert_eq!(lists, sets);
        assert!(lists.matches_labels("label", |name| if name == "a" { Some("b") } else { Some("") }));
        assert!(!lists.matches_labels("label", |name| if name == "a" { Some("x") } else { Some("") }));
        assert!(
            lists.matches("status", "running")
                && !lists.matches("status", "dead")
                && lists.matches("id", "x")
        );
        assert_eq!(lists.unknown_key(&["label"]), Some("status"));
        assert!(Filters::parse("[]").is_err());
    }
}
