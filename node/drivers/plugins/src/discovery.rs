//! Where plugins are looked for, and what their descriptions say.
//!
//! A socket `NAME.sock` (or `NAME/NAME.sock`) in a socket directory comes first, then `NAME.spec` (an address) and
//! `NAME.json` (name, address, TLS) in the description directories, each also one level deeper: as in Docker.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::address::{Address, Tls};
use crate::error::{Error, Result};

/// A description longer than this is not one.
const DESCRIPTION_MAX: u64 = 64 << 10;

/// The directories, the first one that has the name wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    pub sockets: Vec<PathBuf>,
    pub descriptions: Vec<PathBuf>,
}

impl Default for Places {
    /// Docker's.
    fn default() -> Places {
        Places {
            sockets: vec!["/run/docker/plugins".into()],
            descriptions: vec!["/etc/docker/plugins".into(), "/usr/lib/docker/plugins".into()],
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Description {
    addr: String,
    #[serde(rename = "TLSConfig")]
    tls: Option<Tls>,
}

impl Places {
    /// Where the plugin `name` listens. Blocks on the disk, briefly.
    pub fn find(&self, name: &str) -> Result<Address> {
        let missing = || Error::NotFound(name.to_owned());
        // A name becomes part of a path.
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(missing());
        }
        for path in self.sockets.iter().flat_map(|dir| places(dir, name, "sock")) {
            use std::os::unix::fs::FileTypeExt;
            if std::fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_socket()) {
                return Ok(Address::Unix(path));
            }
        }
        for (dir, extension) in self
            .descriptions
            .iter()
            .flat_map(|dir| [(dir, "spec"), (dir, "json")])
        {
            for path in places(dir, name, extension) {
                match read(&path, extension == "json") {
                    Ok(Some(address)) => return Ok(address),
                    Ok(None) => {}
                    Err(why) => {
                        return Err(Error::Description {
                            name: name.to_owned(),
                            why: format!("{}: {why}", path.display()),
                        });
                    }
                }
            }
        }
        Err(missing())
    }

    /// The names that something lies there for, whether it answers or not.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let sockets = self.sockets.iter().map(|dir| (dir, &["sock"][..]));
        let descriptions = self.descriptions.iter().map(|dir| (dir, &["spec", "json"][..]));
        for (dir, extensions) in sockets.chain(descriptions) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                    continue;
                };
                let matches = |path: &Path| {
                    let extension = path.extension().and_then(|e| e.to_str());
                    extension.is_some_and(|e| extensions.contains(&e))
                };
                let deeper = || {
                    extensions
                        .iter()
                        .any(|e| path.join(format!("{name}.{e}")).exists())
                };
                if matches(&path) || deeper() {
                    names.insert(name.to_owned());
                }
            }
        }
        names
    }
}

fn places(dir: &Path, name: &str, extension: &str) -> [PathBuf; 2] {
    let file = format!("{name}.{extension}");
    [dir.join(&file), dir.join(name).join(&file)]
}

fn read(path: &Path, json: bool) -> std::result::Result<Option<Address>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e.to_string()),
    };
    let mut text = String::new();
    file.take(DESCRIPTION_MAX)
        .read_to_string(&mut text)
        .map_err(|e| e.to_string())?;
    let description = if json {
        serde_json::from_str(&text).map_err(|e| e.to_string())?
    } else {
        Description {
            addr: text.trim().to_owned(),
            tls: None,
        }
    };
    Address::parse(&description.addr, description.tls).map(Some)
}
