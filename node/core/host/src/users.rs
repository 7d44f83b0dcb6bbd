//! Who the first process is: `USER` or `--user` resolved against the image's passwd and group files, whose contents
//! the caller read (bounded) from inside the root filesystem.

/// The most of either file that is looked at.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// The resolved identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// From passwd; `/` when unknown.
    pub home: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

const ID_MAX: u64 = (1 << 31) - 1;

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

fn passwd(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut f = line.trim().split(':');
        let name = f.next()?;
        let (uid, gid) = (f.nth(1)?.parse().ok()?, f.next()?.parse().ok()?);
        let home = f.nth(1).unwrap_or("");
        Some(Passwd { name, uid, gid, home })
    })
}

fn group(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut f = line.trim().split(':');
        let name = f.next()?;
        let gid = f.nth(1)?.parse().ok()?;
        Some(Group {
            name,
            gid,
            members: f.next().unwrap_or(""),
        })
    })
}

/// A number within the range, `None` when it is not a number at all. Never wraps (CVE-2026-46680).
fn number(text: &str) -> Result<Option<u32>, Error> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return if text.starts_with('-') && text[1..].bytes().all(|b| b.is_ascii_digit()) {
            Err(Error::Range)
        } else {
            Ok(None)
        };
    }
    match text.parse::<u64>() {
        Ok(n) if n <= ID_MAX => Ok(Some(n as u32)),
        _ => Err(Error::Range),
    }
}

/// Resolves `user[:group]` and the additional groups. Empty means root. A name wins over a number of the same spelling.
pub fn resolve(spec: &str, group_add: &[String], passwd_text: &str, group_text: &str) -> Result<User, Error> {
    let (user_arg, group_arg) = spec.split_once(':').unwrap_or((spec, ""));
    let mut user = User {
        home: "/".into(),
        ..User::default()
    };
    let user_number = number(user_arg)?;
    let entry = match user_arg {
        "" => passwd(passwd_text).find(|p| p.uid == 0),
        name => passwd(passwd_text)
            .find(|p| p.name == name)
            .or_else(|| user_number.and_then(|uid| passwd(passwd_text).find(|p| p.uid == uid))),
    };
    let mut user_name = "";
    match (&entry, user_number) {
        (Some(p), _) => {
            user.uid = p.uid;
            user.gid = p.gid;
            if !p.home.is_empty() {
                user.home = p.home.into();
            }
            user_name = p.name;
        }
        (None, Some(uid)) => user.uid = uid,
        (None, None) if user_arg.is_empty() => {}
        (None, None) => return Err(Error::NoUser(user_arg.into())),
    }
    if group_arg.is_empty() {
        // The groups that the file lists for this user; with an explicit group only that one.
        if !user_name.is_empty() {
            user.groups = group(group_text)
                .filter(|g| g.members.split(',').any(|m| m.trim() == user_name))
                .map(|g| g.gid)
                .collect();
        }
    } else {
        user.gid = find_group(group_arg, group_text)?;
    }
    for extra in group_add {
        let gid = find_group(extra, group_text)?;
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    // CVE-2022-36109: the primary group belongs to the supplementary ones, or a setgid program could shed it.
    if !user.groups.contains(&user.gid) {
        user.groups.insert(0, user.gid);
    }
    Ok(user)
}

fn find_group(arg: &str, text: &str) -> Result<u32, Error> {
    let numeric = number(arg)?;
    match group(text).find(|g| g.name == arg) {
        Some(g) => Ok(g.gid),
        None => numeric.ok_or_else(|| Error::NoGroup(arg.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nweb:x:101:102:web:/srv:/bin/sh\nbad line\n1000:x:7:7::/seven:\n";
    const GROUP: &str = "root:x:0:\nwww:x:102:\naudio:x:29:web,other\nwheel:x:10:root\n";

    fn ok(spec: &str, add: &[&str]) -> User {
        let add: Vec<String> = add.iter().map(|s| s.to_string()).collect();
        resolve(spec, &add, PASSWD, GROUP).expect("resolves")
    }

    #[test]
    fn names_numbers_and_groups() {
        assert_eq!(
            ok("", &[]),
            User {
                uid: 0,
                gid: 0,
                groups: vec![0, 10],
                home: "/root".into()
            }
        );
        assert_eq!(
            ok("web", &[]),
            User {
                uid: 101,
                gid: 102,
                groups: vec![102, 29],
                home: "/srv".into()
            }
        );
        assert_eq!(
            ok("web:root", &[]),
            User {
                uid: 101,
                gid: 0,
                groups: vec![0],
                home: "/srv".into()
            }
        );
        assert_eq!(
            ok("500:600", &["audio", "7"]),
            User {
                uid: 500,
                gid: 600,
                groups: vec![600, 29, 7],
                home: "/".into()
            }
        );
        assert_eq!(ok("1000", &[]).uid, 7, "a name wins over a number");
        assert_eq!(ok("500", &[]).gid, 0);
    }

    #[test]
    fn nobody_becomes_root_by_accident() {
        assert_eq!(
            resolve("nouser", &[], PASSWD, GROUP),
            Err(Error::NoUser("nouser".into()))
        );
        assert_eq!(resolve("4294967296", &[], PASSWD, GROUP), Err(Error::Range));
        assert_eq!(resolve("2147483648", &[], PASSWD, GROUP), Err(Error::Range));
        assert_eq!(resolve("-1", &[], PASSWD, GROUP), Err(Error::Range));
        assert_eq!(
            resolve("0:nogroup", &[], PASSWD, GROUP),
            Err(Error::NoGroup("nogroup".into()))
        );
        assert_eq!(
            resolve("web", &["99999999999999999999".into()], PASSWD, GROUP),
            Err(Error::Range)
        );
    }

    #[test]
    fn an_image_without_files_runs_as_root() {
        assert_eq!(
            resolve("", &[], "", "").unwrap(),
            User {
                uid: 0,
                gid: 0,
                groups: vec![0],
                home: "/".into()
            }
        );
    }
}
