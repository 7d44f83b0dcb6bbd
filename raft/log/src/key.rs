//! The data key of a manager's disk: 32 random bytes in a file that only root may read.
//!
//! The file says which format it has, so that a key sealed by an unlock key can take its place later.

use chacha20poly1305::aead::{KeyInit, OsRng};
use chacha20poly1305::{Key, XChaCha20Poly1305};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const MAGIC: &[u8; 12] = b"shoal-key 1\n";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {what} key file {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("key file {path} has a format that this version does not know")]
    Format { path: PathBuf },
}

/// The bytes are wiped when dropped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    pub fn generate() -> DataKey {
        DataKey(Zeroizing::new(XChaCha20Poly1305::generate_key(&mut OsRng).into()))
    }

    pub(crate) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(Key::from_slice(&self.0[..]))
    }

    /// `None` if there is no such file.
    pub fn load(path: &Path) -> Result<Option<DataKey>, Error> {
        let fail = |source| Error::Io {
            what: "read",
            path: path.to_owned(),
            source,
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        Read::by_ref(&mut file)
            .take(1024)
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        let key = bytes
            .strip_prefix(MAGIC)
            .and_then(|key| <[u8; 32]>::try_from(key).ok())
            .ok_or_else(|| Error::Format {
                path: path.to_owned(),
            })?;
        Ok(Some(DataKey(Zeroizing::new(key))))
    }

    /// Written beside, fsynced, renamed into place, directory fsynced: never half there.
    pub fn store(&self, path: &Path) -> Result<(), Error> {
        let fail = |what| {
            move |source| Error::Io {
                what,
                path: path.to_owned(),
                source,
            }
        };
        let beside = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .map_err(fail("create"))?;
        file.write_all(MAGIC)
            .and_then(|()| file.write_all(&self.0[..]))
            .and_then(|()| file.sync_all())
            .map_err(fail("write"))?;
        std::fs::rename(&beside, path).map_err(fail("rename"))?;
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(dir.unwrap_or(Path::new(".")))
            .and_then(|dir| dir.sync_all())
            .map_err(fail("make durable"))
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_comes_back_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(DataKey::load(&path).unwrap().is_none());
        let key = DataKey::generate();
        key.store(&path).unwrap();
        assert_eq!(*DataKey::load(&path).unwrap().unwrap().0, *key.0);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn unknown_or_cut_key_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for content in [&b""[..], b"shoal-key 2\n", b"shoal-key 1\nshort"] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(DataKey::load(&path), Err(Error::Format { .. })));
        }
    }
}
