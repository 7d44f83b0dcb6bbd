//! `userns-remap`: whose subordinate ids the users of containers get, from the texts of the host's files.

use crate::users::FILE_BYTES_MAX;

/// The user of `default`.
pub const DEFAULT_USER: &str = "dockremap";
/// What is set aside for it: as many ids as a container commonly uses.
const DEFAULT_SIZE: u32 = 65536;
const FIRST: u32 = 100_000;

/// So many ids from `inside` on are those from `outside` on for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

/// The ids of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap {
    pub uids: Vec<Extent>,
    pub gids: Vec<Extent>,
}

/// The host's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    pub passwd: &'a str,
    pub group: &'a str,
    pub subuid: &'a str,
    pub subgid: &'a str,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("Error during uid lookup for {0:?}: unable to find entry {0:?} in passwd database")]
    NoUser(String),
    #[error("Error during gid lookup for {0:?}: unable to find entry {0:?} in group database")]
    NoGroup(String),
    #[error("Can't create ID mappings: no subuid ranges found for user {0:?}")]
    NoSubuid(String),
    #[error("Can't create ID mappings: no subgid ranges found for group {0:?}")]
    NoSubgid(String),
    #[error("invalid userns remapping specification in {0:?}")]
    Bad(String),
}

/// `default`, `user`, `uid`, `user:group`, `uid:gid`.
pub fn resolve(remap: &str, files: Files<'_>) -> Result<IdMap, Error> {
    let (user, group) = match remap {
        "default" => return mapping(DEFAULT_USER, DEFAULT_USER, files),
        remap => remap.split_once(':').unwrap_or((remap, "")),
    };
    if user.is_empty() || group.contains(':') {
        return Err(Error::Bad(remap.into()));
    }
    let named = entry(files.passwd, user).ok_or_else(|| Error::NoUser(user.into()))?;
    let group = match group {
        // The group of the user's name, as with Docker.
        "" => named,
        group => entry(files.group, group).ok_or_else(|| Error::NoGroup(group.into()))?,
    };
    mapping(named, group, files)
}

fn mapping(user: &str, group: &str, files: Files<'_>) -> Result<IdMap, Error> {
    let uids = ranges(files.subuid, user, id_of(files.passwd, user));
    let gids = ranges(files.subgid, group, id_of(files.group, group));
    if uids.is_empty() {
        return Err(Error::NoSubuid(user.into()));
    }
    if gids.is_empty() {
        return Err(Error::NoSubgid(group.into()));
    }
    Ok(IdMap { uids, gids })
}

/// The name of a user or group that is given by name or number.
fn entry<'a>(database: &'a str, wanted: &str) -> Option<&'a str> {
    let by_number = wanted.parse::<u32>().is_ok();
    fields(database)
        .find(|f| {
            let id = f.get(2).copied().unwrap_or_default();
            f.first() == Some(&wanted) || by_number && id == wanted
        })
        .and_then(|f| f.first().copied())
}

fn id_of<'a>(database: &'a str, name: &str) -> Option<&'a str> {
    fields(database)
        .find(|f| f.first() == Some(&name))
        .and_then(|f| f.get(2).copied())
}

fn fields(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let text = text.get(..FILE_BYTES_MAX).unwrap_or(text);
    text.lines().map(|line| line.trim().split(':').collect())
}

/// A user's ranges one after the other, from 0 on inside.
fn ranges(text: &str, name: &str, id: Option<&str>) -> Vec<Extent> {
    let mut inside = 0u32;
    let mut out = Vec::new();
    for line in fields(text) {
        let [who, start, size] = line[..] else { continue };
        if who != name && Some(who) != id {
            continue;
        }
        let (Ok(outside), Ok(size)) = (start.parse::<u32>(), size.parse::<u32>()) else {
            continue;
        };
        let Some(next) = inside.checked_add(size).filter(|_| size > 0) else {
            continue;
        };
        if outside.checked_add(size).is_none() {
            continue;
        }
        out.push(Extent {
            inside,
            outside,
            size,
        });
        inside = next;
    }
    out
}

/// A line for `dockremap` in a file of subordinate ids that has none: what lies after everybody else's.
pub fn set_aside(text: &str) -> Option<String> {
    if !ranges(text, DEFAULT_USER, None).is_empty() {
        return None;
    }
    let ends = fields(text).filter_map(|f| {
        f.get(1)?
            .parse::<u32>()
            .ok()?
            .checked_add(f.get(2)?.parse().ok()?)
    });
    let start = ends.max().unwrap_or(FIRST).max(FIRST);
    start.checked_add(DEFAULT_SIZE)?;
    let line_break = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Some(format!("{line_break}{DEFAULT_USER}:{start}:{DEFAULT_SIZE}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: Files<'_> = Files {
        passwd: "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:50::/:/bin/sh\n",
        group: "root:x:0:\nann:x:1000:\nstaff:x:50:\n",
        subuid: "ann:100000:65536\n1000:400000:10\nstaff:1:1\nbad:line\n",
        subgid: "ann:200000:65536\nstaff:300000:100\n",
    };

    fn extent(inside: u32, outside: u32, size: u32) -> Extent {
        Extent {
            inside,
            outside,
            size,
        }
    }

    #[test]
    fn users_by_name_and_number() {
        let map = resolve("ann", FILES).unwrap();
        assert_eq!(map.uids, [extent(0, 100_000, 65536), extent(65536, 400_000, 10)]);
        assert_eq!(map.gids, [extent(0, 200_000, 65536)]);
        assert_eq!(resolve("1000", FILES).unwrap(), map);
        assert_eq!(resolve("ann:50", FILES).unwrap().gids, [extent(0, 300_000, 100)]);
        assert_eq!(resolve("bob", FILES), Err(Error::NoSubuid("bob".into())));
        assert_eq!(resolve("ann:root", FILES), Err(Error::NoSubgid("root".into())));
        assert_eq!(resolve("eve", FILES), Err(Error::NoUser("eve".into())));
        assert_eq!(resolve("ann:eve", FILES), Err(Error::NoGroup("eve".into())));
        assert!(resolve("a:b:c", FILES).is_err() && resolve("", FILES).is_err());
    }

    #[test]
    fn default_is_set_aside_after_everybody_else() {
        assert!(resolve("default", FILES).is_err());
        let line = set_aside("ann:100000:65536\nbob:165536:65536").unwrap();
        assert_eq!(line, "\ndockremap:231072:65536\n");
        assert_eq!(set_aside("").unwrap(), "dockremap:100000:65536\n");
        let text = "dockremap:100000:65536\n";
        assert_eq!(set_aside(text), None);
        let files = Files {
            subuid: text,
            subgid: text,
            ..Files::default()
        };
        assert_eq!(
            resolve("default", files).unwrap().uids,
            [extent(0, 100_000, 65536)]
        );
    }
}
