//! New identifiers.

/// 64 hex digits: a container, an exec, an endpoint, a network, an anonymous volume.
pub fn new() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// The first twelve digits, as people see them.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
