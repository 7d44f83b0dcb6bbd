//! What an operator trusts a registry by: `certs.d/HOST[:PORT]/` with certificates of authorities (`*.crt`), and
//! certificates with keys to show it (`*.cert` with `*.key`), as Docker has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};

/// No honest file of certificates is larger.
const FILE_MAX: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Certificates {
    /// Trusted beside the system's.
    pub roots: Vec<CertificateDer<'static>>,
    /// What we show when asked who we are.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// By which one sees that something changed: the files with their lengths and times.
pub(super) type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Of all that the folders have of a registry.
pub(super) fn stamp(folders: &[PathBuf], domain: &str) -> Stamp {
    let mut files = Stamp::new();
    for folder in folders.iter().filter(|_| is_folder(domain)) {
        let entries = fs::read_dir(folder.join(domain)).into_iter().flatten().flatten();
        files.extend(entries.filter_map(|entry| {
            let of = fs::metadata(entry.path()).ok()?;
            Some((entry.path(), of.len(), of.modified().ok()))
        }));
    }
    files.sort();
    files
}

/// The name becomes part of a path.
fn is_folder(domain: &str) -> bool {
    !(domain.is_empty() || domain.contains('/') || domain.starts_with('.'))
}

/// All that the folders have of a registry (`host[:port]`). One without a folder has none.
pub(super) fn read(folders: &[PathBuf], domain: &str) -> Result<Certificates> {
    let mut found = Certificates::default();
    if !is_folder(domain) {
        return Ok(found);
    }
    for folder in folders {
        let folder = folder.join(domain);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in &paths {
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("crt") => found.roots.extend(chain(path)?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !paths.contains(&key) {
                        return Err(Error::InvalidParameter(format!(
                            "missing key {} for client certificate {}. CA certificates must use the extension .crt",
                            name(&key),
                            name(path)
                        )));
                    }
                    // Where there are several the first is shown.
                    if found.identity.is_none() {
                        let text = text(&key)?;
                        let own = PrivateKeyDer::from_pem_slice(&text).map_err(|e| wrong(&key, &e))?;
                        found.identity = Some((chain(path)?, own));
                    }
                }
                Some("key") => {
                    let certificate = path.with_extension("cert");
                    if !paths.contains(&certificate) {
                        return Err(Error::InvalidParameter(format!(
                            "missing client certificate {} for key {}",
                            name(&certificate),
                            name(path)
                        )));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = text(path)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<std::result::Result<Vec<_>, _>>();
    let all = all.map_err(|e| wrong(path, &e))?;
    match all.is_empty() {
        true => Err(wrong(path, &"there is no certificate in it")),
        false => Ok(all),
    }
}

fn text(path: &Path) -> Result<Vec<u8>> {
    let size = fs::metadata(path)
        .map_err(|e| Error::storage("read", path, e))?
        .len();
    if size > FILE_MAX {
        return Err(wrong(path, &"it is too large"));
    }
    fs::read(path).map_err(|e| Error::storage("read", path, e))
}

fn wrong(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::InvalidParameter(format!("cannot use {}: {why}", path.display()))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_refused_in_dockers_words() {
        let folder = tempfile::tempdir().expect("dir");
        let host = folder.path().join("reg:5000");
        fs::create_dir(&host).expect("dir");
        let all = [folder.path().to_owned()];
        let said = || read(&all, "reg:5000").expect_err("half").to_string();
        fs::write(host.join("client.cert"), "x").expect("file");
        assert_eq!(
            said(),
            "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
        );
        fs::rename(host.join("client.cert"), host.join("client.key")).expect("rename");
        assert_eq!(
            said(),
            "missing client certificate client.cert for key client.key"
        );
        fs::rename(host.join("client.key"), host.join("ca.crt")).expect("rename");
        assert!(said().ends_with("there is no certificate in it"), "{}", said());
        assert!(read(&all, "other:5000").expect("none").roots.is_empty());
        assert!(read(&all, "..").expect("none").roots.is_empty());
    }
}
