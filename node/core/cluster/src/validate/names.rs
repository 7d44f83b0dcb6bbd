//! Names of services, nodes, secrets and configs.

use super::{Invalid, invalid};

/// A service is found by its name in DNS, so the name is a DNS label.
pub fn service_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return invalid("meta: name must be provided");
    }
    if name.len() > 63 {
        return invalid("name must be 63 characters or fewer");
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if !(edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| inner(*b))) {
        return invalid("name must be valid as a DNS name component");
    }
    Ok(())
}

/// Secrets and configs: 64 characters of `[a-zA-Z0-9-_.]`, beginning and ending with a letter or digit.
pub fn object_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return invalid("name must be provided");
    }
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let bytes = name.as_bytes();
    if name.len() > 64 || !edge(bytes.first()) || !edge(bytes.last()) || !bytes.iter().all(|b| inner(*b)) {
        return invalid(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]",
        );
    }
    Ok(())
}
