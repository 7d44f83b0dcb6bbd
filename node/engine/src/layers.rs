//! Looking into a root filesystem without mounting it: the layers of an overlay walked one component at a time, by
//! descriptor. No path of the container's is ever given to the kernel as a whole, so nothing in it leads outside.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

const SYMLINKS_MAX: u32 = 40;
const OPAQUE: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// The layers, top first.
pub struct Layers {
    roots: Vec<OwnedFd>,
}

/// One directory as it appears: the same directory in each layer that shows through, top first.
struct Dir(Vec<OwnedFd>);

enum Found {
    File(OwnedFd),
    Dir(Dir),
    Symlink(String),
    Nothing,
}

impl Layers {
    pub fn open<'a>(dirs: impl IntoIterator<Item = &'a Path>) -> io::Result<Layers> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let roots = dirs
            .into_iter()
            .map(|dir| Ok(rustix::fs::open(dir, flags, Mode::empty())?))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Layers { roots })
    }

    /// The beginning of a regular file, at most `bytes_max`; `None` when there is none.
    pub fn read(&self, path: &str, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        let Found::File(fd) = self.find(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        File::from(fd).take(bytes_max as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether the path is a directory.
    pub fn is_dir(&self, path: &str) -> io::Result<bool> {
        Ok(matches!(self.find(path)?, Found::Dir(_)))
    }

    fn find(&self, path: &str) -> io::Result<Found> {
        let mut todo: Vec<String> = parts(path).rev().collect();
        let mut trail: Vec<Dir> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let found = match trail.last() {
                Some(dir) => look(&dir.0, &name)?,
                None => look(&self.roots, &name)?,
            };
            match found {
                Found::Dir(dir) => trail.push(dir),
                Found::File(fd) => {
                    return Ok(if todo.is_empty() {
                        Found::File(fd)
                    } else {
                        Found::Nothing
                    });
                }
                Found::Symlink(target) => {
                    links += 1;
                    if links > SYMLINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    if target.starts_with('/') {
                        trail.clear();
                    }
                    todo.extend(parts(&target).rev());
                }
                Found::Nothing => return Ok(Found::Nothing),
            }
        }
        match trail.pop() {
            Some(dir) => Ok(Found::Dir(dir)),
            None => Ok(Found::Dir(Dir(Vec::new()))),
        }
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .map(str::to_string)
}

fn look(layers: &[OwnedFd], name: &str) -> io::Result<Found> {
    let mut dirs = Vec::new();
    for layer in layers {
        let stat = match statat(layer, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(e) => return Err(e.into()),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let whiteout = kind == FileType::CharacterDevice && stat.st_rdev == 0;
        if whiteout {
            break;
        }
        if kind == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir = openat(layer, name, flags, Mode::empty())?;
            let opaque = is_opaque(&dir);
            dirs.push(dir);
            if opaque {
                break;
            }
            continue;
        }
        if !dirs.is_empty() {
            break;
        }
        return match kind {
            FileType::Symlink => {
                let target = readlinkat(layer, name, Vec::new())?;
                Ok(Found::Symlink(target.to_string_lossy().into_owned()))
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let fd = openat(layer, name, flags, Mode::empty())?;
                let still_a_file =
                    FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::RegularFile;
                Ok(if still_a_file {
                    Found::File(fd)
                } else {
                    Found::Nothing
                })
            }
            _ => Ok(Found::Nothing),
        };
    }
    Ok(if dirs.is_empty() {
        Found::Nothing
    } else {
        Found::Dir(Dir(dirs))
    })
}

fn is_opaque(dir: &OwnedFd) -> bool {
    OPAQUE.iter().any(|name| {
        let mut value = [0u8; 1];
        matches!(rustix::fs::fgetxattr(dir, *name, &mut value), Ok(1) if value[0] == b'y')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Layers) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (top, low) = (dir.path().join("top"), dir.path().join("low"));
        for d in ["top/etc", "top/gone", "low/etc", "low/usr/etc", "low/lnk"] {
            fs::create_dir_all(dir.path().join(d)).expect("made");
        }
        fs::write(low.join("etc/passwd"), "low").expect("written");
        fs::write(low.join("etc/group"), "group").expect("written");
        fs::write(low.join("usr/etc/deep"), "deep").expect("written");
        fs::write(top.join("etc/passwd"), "top").expect("written");
        symlink("/usr/etc", low.join("lnk/abs")).expect("linked");
        symlink("../../../../usr/./etc/deep", low.join("lnk/up")).expect("linked");
        symlink("/lnk/loop", low.join("lnk/loop")).expect("linked");
        symlink("/etc/hostname", top.join("etc/outside")).expect("linked");
        let layers = Layers::open([top.as_path(), low.as_path()]).expect("opened");
        (dir, layers)
    }

    #[test]
    fn the_top_layer_wins_and_lower_ones_show_through() {
        let (_dir, layers) = tree();
        let text = |path: &str| {
            layers
                .read(path, 100)
                .expect("readable")
                .map(|b| String::from_utf8(b).expect("text"))
        };
        assert_eq!(text("/etc/passwd").as_deref(), Some("top"));
        assert_eq!(text("etc/group").as_deref(), Some("group"));
        assert_eq!(text("/lnk/abs/deep").as_deref(), Some("deep"));
        assert_eq!(text("/lnk/up").as_deref(), Some("deep"), ".. stops at the root");
        assert_eq!(
            text("/etc/outside"),
            None,
            "a link leads to the container's file, not to the host's"
        );
        assert_eq!(text("/etc"), None);
        assert!(layers.read("/lnk/loop", 1).is_err());
        assert!(layers.is_dir("/usr/etc").expect("looked") && !layers.is_dir("/nope").expect("looked"));
        assert_eq!(
            layers
                .read("/etc/group", 2)
                .expect("readable")
                .expect("there")
                .len(),
            2
        );
    }
}
