//! Files of this host as a tar stream.

use super::rename::{Plan, Side, base};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tar::{Builder, EntryType, Header};

/// What is to be copied.
pub struct Source {
    pub side: Side,
    /// Where it is read: behind the link, if links are followed.
    path: PathBuf,
}

impl Source {
    pub fn find(path: &str, follow: bool) -> Result<Source> {
        let found = fs::symlink_metadata(path).with_context(|| format!("lstat {path}"))?;
        let mut read = PathBuf::from(path);
        let mut is_dir = found.is_dir();
        if follow && found.is_symlink() {
            read = fs::canonicalize(path).with_context(|| format!("follow {path}"))?;
            is_dir = fs::metadata(&read)
                .with_context(|| format!("stat {}", read.display()))?
                .is_dir();
        }
        let side = Side {
            path: path.to_owned(),
            exists: true,
            is_dir,
        };
        Ok(Source { side, path: read })
    }
}

/// Writes the archive that the daemon unpacks. Names begin with the source's last name, renamed as planned.
pub fn pack(source: &Source, plan: &Plan, out: impl Write, count: &AtomicU64) -> Result<()> {
    let mut packer = Packer {
        tar: Builder::new(Counted { out, count }),
        plan,
        links: HashMap::new(),
    };
    packer.tree(&source.path, &base(&source.side.path))?;
    packer.tar.into_inner()?.flush()?;
    Ok(())
}

struct Packer<'a, W: Write> {
    tar: Builder<W>,
    plan: &'a Plan,
    /// Names in the archive of files with several, by where they are.
    links: HashMap<(u64, u64), String>,
}

impl<W: Write> Packer<'_, W> {
    fn tree(&mut self, top: &Path, name: &str) -> Result<()> {
        let mut todo = vec![(top.to_owned(), name.to_owned())];
        while let Some((path, name)) = todo.pop() {
            let failed = || format!("lstat {}", path.display());
            let found = fs::symlink_metadata(&path).with_context(failed)?;
            self.one(&path, &name, &found)
                .with_context(|| format!("archive {}", path.display()))?;
            if found.is_dir() {
                let entries = fs::read_dir(&path).with_context(|| format!("open {}", path.display()))?;
                let mut below = entries.collect::<io::Result<Vec<_>>>()?;
                below.sort_by_key(|e| std::cmp::Reverse(e.file_name()));
                for entry in below {
                    let child = entry.file_name();
                    todo.push((entry.path(), format!("{name}/{}", child.to_string_lossy())));
                }
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &Path, name: &str, found: &Metadata) -> Result<()> {
        let kind = found.file_type();
        let name = self.plan.name(name);
        // The root of this host by its own name is nothing to make in a container.
        let name = name.trim_start_matches('/').to_owned();
        let name = if name.is_empty() { ".".to_owned() } else { name };
        let mut header = Header::new_gnu();
        header.set_metadata(found);
        // Whole seconds, no user's or group's name: as docker writes it.
        header.set_mtime(u64::try_from(found.mtime()).unwrap_or(0));
        header.set_size(0);
        if found.nlink() > 1 && !found.is_dir() {
            let key = (found.dev(), found.ino());
            if let Some(first) = self.links.get(&key) {
                header.set_entry_type(EntryType::Link);
                let first = first.clone();
                return Ok(self.tar.append_link(&mut header, &name, first)?);
            }
            self.links.insert(key, name.clone());
        }
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            return Ok(self.tar.append_link(&mut header, &name, fs::read_link(path)?)?);
        }
        if kind.is_file() {
            header.set_size(found.len());
            let file = File::open(path)?;
            let exactly = file.take(found.len()).chain(io::repeat(0)).take(found.len());
            return Ok(self.tar.append_data(&mut header, &name, exactly)?);
        }
        if kind.is_socket() {
            // tar has no word for one.
            return Ok(());
        }
        Ok(self.tar.append_data(&mut header, &name, io::empty())?)
    }
}

struct Counted<'a, W> {
    out: W,
    count: &'a AtomicU64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rename::{clean, directory};
    use super::*;

    #[test]
    fn a_tree_with_links_is_renamed_and_read_back() {
        let dir = std::env::temp_dir().join(format!("shoal-cp-{}", std::process::id()));
        fs::create_dir_all(dir.join("d/e")).unwrap();
        fs::write(dir.join("d/e/f"), "abc").unwrap();
        fs::hard_link(dir.join("d/e/f"), dir.join("d/e/h")).unwrap();
        std::os::unix::fs::symlink("e", dir.join("d/l")).unwrap();
        let source = Source::find(&clean(&format!("{}/d", dir.display())), false).unwrap();
        let plan = Plan {
            directory: directory("/x"),
            rename: Some(("d".into(), "new".into())),
        };
        let (mut bytes, count) = (Vec::new(), AtomicU64::new(0));
        pack(&source, &plan, &mut bytes, &count).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), bytes.len() as u64);
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string());
            names.push((entry.path().unwrap().display().to_string(), link));
        }
        let name = |name: &str, link: Option<&str>| (name.to_owned(), link.map(str::to_owned));
        assert_eq!(
            names,
            [
                name("new", None),
                name("new/e", None),
                name("new/e/f", None),
                name("new/e/h", Some("new/e/f")),
                name("new/l", Some("e")),
            ]
        );
    }
}
