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

/// The same for IPv6: only wanted once a network has it. A host that forwards takes no routers' word for its own routes, unless
/// it is told to: interfaces that did before go on doing so.
pub fn enable_v6() -> Result<bool> {
    const CONF: &str = "/proc/sys/net/ipv6/conf";
    const FILE: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
    match std::fs::read_to_string(FILE) {
        Ok(text) if text.trim() != "0" => Ok(false),
        Ok(_) => {
            for link in std::fs::read_dir(CONF).into_iter().flatten().flatten() {
                let file = link.path().join("accept_ra");
                // Those of the machine; a container is nobody's router.
                let device = std::path::Path::new("/sys/class/net")
                    .join(link.file_name())
                    .join("device");
                if device.exists() && std::fs::read_to_string(&file).is_ok_and(|text| text.trim() == "1") {
                    let _ = std::fs::write(&file, "2");
                }
            }
            std::fs::write(FILE, "1")
                .map(|()| true)
                .map_err(|e| Error::io(format!("write {FILE}"), e))
        }
        Err(e) => Err(Error::io(format!("read {FILE}"), e)),
    }
}

pub fn is_enabled() -> Result<bool> {
    let text = std::fs::read_to_string(FILE).map_err(|e| Error::io(format!("read {FILE}"), e))?;
    Ok(text.trim() != "0")
}
