//! The local driver's options, checked as Docker checks them; what they ask to mount is the engine's work.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

pub(crate) fn check(name: &str, options: &BTreeMap<String, String>) -> Result<()> {
    let invalid = |why: String| Err(Error::InvalidParameter(format!("create {name}: {why}")));
    if let Some(unknown) = options
        .keys()
        .find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size"))
    {
        return invalid(format!("invalid option: {unknown:?}"));
    }
    let has = |key: &str| options.get(key).is_some_and(|value| !value.is_empty());
    let mounts = ["type", "o", "device"];
    if mounts.iter().any(|key| has(key)) {
        for required in ["device", "type"] {
            if !has(required) {
                return invalid(format!("missing required option: {required:?}"));
            }
        }
    }
    Ok(())
}
