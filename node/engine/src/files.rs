//! Small files that are replaced as a whole. A reader sees the old one or the new one, never a piece.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The most that is read of a file of ours; a larger one is not ours.
const BYTES_MAX: u64 = 16 << 20;

/// How much of a promise a write is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives the power being cut: file and directory are fsynced.
    Synced,
    /// Survives the daemon's death.
    Written,
}

/// Replaces `dir/name` by `bytes`, mode 0600.
pub fn replace(dir: &Path, name: &str, bytes: &[u8], durability: Durability) -> io::Result<()> {
    if durability == Durability::Synced {
        return Ready::write(dir, name, bytes)?.put();
    }
    let (_, temporary) = beside(dir, name, bytes)?;
    std::fs::rename(&temporary, dir.join(name))
}

/// What is to replace a file, on the disk already, under a name of its own until it is put in its place. It is written
/// while something else is done that decides whether it will be needed. One of a name at a time.
#[must_use = "the file stays as it was"]
pub struct Ready {
    dir: PathBuf,
    name: String,
    temporary: PathBuf,
    put: bool,
}

impl Ready {
    pub fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<Ready> {
        let (file, temporary) = beside(dir, name, bytes)?;
        let ready = Ready {
            dir: dir.to_owned(),
            name: name.to_owned(),
            temporary,
            put: false,
        };
        file.sync_data()?;
        Ok(ready)
    }

    /// From here on it is what readers see, durably.
    pub fn put(mut self) -> io::Result<()> {
        std::fs::rename(&self.temporary, self.dir.join(&self.name))?;
        self.put = true;
        sync_dir(&self.dir)
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if !self.put {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// What is to be `dir/name`, under a name of its own, mode 0600.
fn beside(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<(File, PathBuf)> {
    let temporary = dir.join(format!(".{name}.tmp"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    Ok((file, temporary))
}

/// Puts the first file into a directory that was just made, durably, the directory's own name included. Everything is
/// done before anything is synced, so that the disk's journal is written once and not three times. After a power cut in
/// between the file may be there and empty.
pub fn found(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (file, temporary) = beside(dir, name, bytes)?;
    std::fs::rename(&temporary, dir.join(name))?;
    file.sync_data()?;
    sync_dir(dir)?;
    dir.parent().map_or(Ok(()), sync_dir)
}

pub fn replace_json<T: Serialize>(
    dir: &Path,
    name: &str,
    value: &T,
    durability: Durability,
) -> io::Result<()> {
    replace(dir, name, &serde_json::to_vec(value)?, durability)
}

/// For a file that nothing depends on after a crash: its contents and mode, whatever the umask. It stays the same file,
/// for whoever has it mounted, and is never empty in between.
pub fn overwrite(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(mode)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    // File systems start writing a file that was cut to nothing to the disk at once: it is cut to its length only.
    file.set_len(bytes.len() as u64)
}

/// `None` when there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read(path)? {
        Some(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        None => Ok(None),
    }
}

pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    if file.take(BYTES_MAX + 1).read_to_end(&mut bytes)? as u64 > BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is too large", path.display()),
        ));
    }
    Ok(Some(bytes))
}

pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory and its parents; one that is there already is fine.
pub fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(dir)
}

/// Removes a tree; one that is gone already is fine.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for durability in [Durability::Synced, Durability::Written] {
            replace_json(dir.path(), "a.json", &vec![1, 2], durability).expect("written");
            replace_json(dir.path(), "a.json", &vec![3], durability).expect("replaced");
            assert_eq!(
                read_json::<Vec<i32>>(&dir.path().join("a.json")).expect("read"),
                Some(vec![3])
            );
        }
        assert_eq!(
            std::fs::read_dir(dir.path()).expect("listed").count(),
            1,
            "no temporary file stays"
        );
        assert_eq!(read(&dir.path().join("none")).expect("absent"), None);
        let ready = Ready::write(dir.path(), "a.json", b"[4]").expect("written");
        assert_eq!(
            read(&dir.path().join("a.json")).expect("read"),
            Some(b"[3]".into())
        );
        drop(ready);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        let ready = Ready::write(dir.path(), "a.json", b"[5]").expect("written");
        ready.put().expect("put in its place");
        assert_eq!(
            read(&dir.path().join("a.json")).expect("read"),
            Some(b"[5]".into())
        );
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
        let over = dir.path().join("over");
        for text in ["long and longer", "short", "longer again"] {
            overwrite(&over, text.as_bytes(), 0o644).expect("overwritten");
            assert_eq!(read(&over).expect("read"), Some(text.into()));
        }
        std::fs::write(dir.path().join("torn"), b"[1,").expect("written");
        assert!(read_json::<Vec<i32>>(&dir.path().join("torn")).is_err());
    }
}
