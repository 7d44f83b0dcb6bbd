//! Whether the host forwards packets at all, and whether somebody else's rules stop them.

mod foreign;
mod legacy;

use crate::error::{Error, Result};

pub use foreign::foreign_drop;

const FILE: &str = "/proc/sys/net/ipv4/ip_forward";

/// Switches forwarding on if it is off. Answers whether it was off.
pub fn enable() -> Result<bool> {
    if is_enabled()? {
        return Ok(false);
    }
    std::fs::write(FILE, "1").map_err(|e| Error::io(format!("write {FILE}"), e))?;
    Ok(true)
}

/// The same for IPv6: only wanted once a network has it, for a host that forwards takes no routers' word for its own routes.
pub fn enable_v6() -> Result<bool> {
    const FILE: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
    match std::fs::read_to_string(FILE) {
        Ok(text) if text.trim() != "0" => Ok(false),
        Ok(_) => std::fs::write(FILE, "1")
            .map(|()| true)
            .map_err(|e| Error::io(format!("write {FILE}"), e)),
        Err(e) => Err(Error::io(format!("read {FILE}"), e)),
    }
}

pub fn is_enabled() -> Result<bool> {
    let text = std::fs::read_to_string(FILE).map_err(|e| Error::io(format!("read {FILE}"), e))?;
    Ok(text.trim() != "0")
}
