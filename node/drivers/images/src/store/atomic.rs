//! Files that are either there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Replaces `path` with `bytes`: written aside in `tmp`, synced, renamed, and the directory synced.
pub(crate) fn write(tmp: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = tmp.join(unique("write"));
    let written = (|| {
        let mut file = File::create_new(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&aside);
        return Err(Error::storage("write", path, error));
    }
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| Error::storage("sync directory", path, e))
}

/// A name that nothing else uses.
pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{:016x}", rand::random::<u64>())
}
