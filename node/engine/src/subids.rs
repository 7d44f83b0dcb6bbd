//! User namespaces of containers: whose subordinate ids they get.

use crate::containers::Record;
use crate::error::{Result, invalid, io, system};
use parking_lot::Mutex;
use shoal_node_core_host::subids::{self, Files, IdMap};
use std::io::Write;

const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";

/// The daemon's mapping (`userns-remap`), and the one for containers that ask for a user namespace themselves.
pub struct Subids {
    /// Of every container that does not opt out.
    daemon: Option<IdMap>,
    asked: Mutex<Option<IdMap>>,
}

impl Subids {
    /// Blocks. `remap` as `--userns-remap` has it; empty is none.
    pub fn open(remap: &str) -> Result<Subids> {
        let daemon = match remap {
            "" => None,
            remap => Some(resolve(remap)?),
        };
        Ok(Subids {
            asked: Mutex::new(daemon.clone()),
            daemon,
        })
    }

    pub fn remaps(&self) -> bool {
        self.daemon.is_some()
    }

    /// Of a container in this mode: `host`, `private`, or what the daemon does.
    pub fn of(&self, record: &Record) -> Result<Option<IdMap>> {
        match record.host.userns_mode.as_str() {
            "host" => Ok(None),
            "private" => {
                let mut asked = self.asked.lock();
                let ids = match asked.take() {
                    Some(ids) => ids,
                    None => resolve("default")?,
                };
                *asked = Some(ids.clone());
                Ok(Some(ids))
            }
            _ => Ok(self.daemon.clone()),
        }
    }
}

fn resolve(remap: &str) -> Result<IdMap> {
    if remap == "default" {
        set_aside(SUBUID)?;
        set_aside(SUBGID)?;
    }
    let text = |path: &str| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(io("read", path)(e)),
    };
    let (passwd, group) = (text("/etc/passwd")?, text("/etc/group")?);
    let (subuid, subgid) = (text(SUBUID)?, text(SUBGID)?);
    let files = Files {
        passwd: &passwd,
        group: &group,
        subuid: &subuid,
        subgid: &subgid,
    };
    subids::resolve(remap, files).map_err(|e| invalid(e.to_string()))
}

/// Ids for `default` are written down where others look before they take some. No user is made for them: the kernel
/// knows numbers only.
fn set_aside(path: &str) -> Result<()> {
    let text = std::fs::read_to_string(path).or_else(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Ok(String::new()),
        _ => Err(e),
    });
    let Some(line) = subids::set_aside(&text.map_err(io("read", path))?) else {
        return Ok(());
    };
    let append = || {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    };
    append().map_err(|e| system(format!("set ids aside in {path}: {e}")))
}
