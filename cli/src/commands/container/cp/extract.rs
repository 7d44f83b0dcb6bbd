//! A container's archive unpacked on this host. What comes from a container is not trusted: no entry is placed through a
//! link, and nothing leaves the directory.

use super::rename::Plan;
use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

pub fn extract(source: impl Read, plan: &Plan) -> Result<()> {
    let top = PathBuf::from(&plan.directory);
    let mut archive = Archive::new(source);
    // Set last: they change while directories are filled, and a directory may not be writable to us.
    let mut directories: Vec<(PathBuf, u32, i64)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = plan.name(&String::from_utf8_lossy(&entry.path_bytes()));
        let path = place(&top, &name)?;
        if let Some(directory) =
            one(&mut entry, &top, &path, plan).with_context(|| format!("unpack {name}"))?
        {
            directories.push(directory);
        }
    }
    for (path, mode, mtime) in directories.into_iter().rev() {
        // Replaced by a link since? Then it is not ours to touch.
        if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            stamp(&path, mtime)?;
        }
    }
    Ok(())
}

/// Where an entry goes. Every directory on the way is a directory, made if it is missing.
fn place(top: &Path, name: &str) -> Result<PathBuf> {
    let mut path = top.to_owned();
    let parts: Vec<_> = Path::new(name)
        .components()
        .filter(|c| !matches!(c, Component::CurDir | Component::RootDir))
        .collect();
    for (at, part) in parts.iter().enumerate() {
        let Component::Normal(part) = part else {
            bail!("invalid entry name {name:?}");
        };
        path.push(part);
        if at + 1 == parts.len() {
            break;
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => bail!("{} is not a directory", path.display()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&path).with_context(|| format!("mkdir {}", path.display()))?;
            }
            Err(e) => return Err(e).with_context(|| format!("lstat {}", path.display())),
        }
    }
    Ok(path)
}

/// Makes one entry; a directory's attributes are left for later.
fn one(
    entry: &mut Entry<'_, impl Read>,
    top: &Path,
    path: &Path,
    plan: &Plan,
) -> Result<Option<(PathBuf, u32, i64)>> {
    let kind = entry.header().entry_type();
    let mode = entry.header().mode()? & 0o7777;
    let mtime = i64::try_from(entry.header().mtime()?).unwrap_or(0);
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && kind.is_dir() => {
            return Ok((path != top).then(|| (path.to_owned(), mode, mtime)));
        }
        Ok(found) if found.is_dir() => {
            bail!(
                "cannot overwrite directory {:?} with non-directory",
                path.display().to_string()
            )
        }
        Ok(_) if kind.is_dir() => {
            bail!(
                "cannot overwrite non-directory {:?} with directory",
                path.display().to_string()
            )
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    match kind {
        EntryType::Directory => {
            fs::create_dir(path)?;
            return Ok(Some((path.to_owned(), mode, mtime)));
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            io::copy(entry, &mut file)?;
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default();
            std::os::unix::fs::symlink(&*String::from_utf8_lossy(&target), path)?;
        }
        EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = place(top, &plan.name(&String::from_utf8_lossy(&target)))?;
            if fs::symlink_metadata(&target)?.is_symlink() {
                bail!("a hard link to a symbolic one");
            }
            fs::hard_link(target, path)?;
            return Ok(None);
        }
        EntryType::Fifo | EntryType::Char | EntryType::Block => {
            let (kind, device) = match kind {
                EntryType::Fifo => (FileType::Fifo, 0),
                other => {
                    let header = entry.header();
                    let major = header.device_major()?.unwrap_or(0);
                    let number = rustix::fs::makedev(major, header.device_minor()?.unwrap_or(0));
                    match other {
                        EntryType::Char => (FileType::CharacterDevice, number),
                        _ => (FileType::BlockDevice, number),
                    }
                }
            };
            mknodat(CWD, path, kind, Mode::from_raw_mode(mode), device)?;
        }
        _ => return Ok(None),
    }
    stamp(path, mtime)?;
    Ok(None)
}

fn stamp(path: &Path, mtime: i64) -> Result<()> {
    let time = Timespec {
        tv_sec: mtime,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(
        CWD,
        path,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, Header};

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for (name, kind, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_mtime(5);
            // By hand: the writer would refuse such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            let data = if kind.is_file() { text.as_bytes() } else { b"" };
            if !kind.is_file() {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
            tar.append(&header, data).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn nothing_leaves_the_directory() {
        let dir = std::env::temp_dir().join(format!("shoal-extract-{}", std::process::id()));
        let (top, outside) = (dir.join("top"), dir.join("outside"));
        fs::create_dir_all(&top).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("f"), "mine").unwrap();
        let plan = Plan {
            directory: top.display().to_string(),
            rename: None,
        };
        let target = outside.display().to_string();
        use EntryType::{Directory, Link, Regular, Symlink};
        for (entries, fails) in [
            (vec![("../x", Regular, "1")], true),
            (vec![("l", Symlink, target.as_str()), ("l/x", Regular, "1")], true),
            (vec![("up", Symlink, "../outside"), ("up/x", Regular, "1")], true),
            (vec![("h", Link, "../outside/f")], true),
            (vec![("l2", Symlink, target.as_str()), ("h2", Link, "l2/f")], true),
            (vec![("g", Symlink, "../outside/f"), ("g", Regular, "new")], false),
            (
                vec![
                    ("d", Directory, ""),
                    ("d/f", Regular, "in"),
                    ("/abs", Regular, "in"),
                ],
                false,
            ),
        ] {
            let done = extract(&archive(&entries)[..], &plan);
            assert_eq!(done.is_err(), fails, "{entries:?}: {done:?}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(top.join("g")).unwrap(), "new");
        assert_eq!(fs::read_to_string(top.join("d/f")).unwrap(), "in");
        assert_eq!(fs::read_to_string(top.join("abs")).unwrap(), "in");
        fs::remove_dir_all(&dir).unwrap();
    }
}
