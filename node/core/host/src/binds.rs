//! `-v` and `--tmpfs` words: `[source:]destination[:options]`.

/// One bind or volume as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// Absolute path (bind) or volume name; empty for an anonymous volume.
    pub source: String,
    pub destination: String,
    /// The options as given, for `Mode` in inspect.
    pub mode: String,
    pub read_only: bool,
    pub no_copy: bool,
    /// `rprivate` unless given.
    pub propagation: String,
}

impl Bind {
    pub fn is_volume(&self) -> bool {
        !self.source.starts_with('/')
    }
}

const PROPAGATION: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Whether the words after the destination fit together: at most one of a kind.
fn mode_is_valid(mode: &str) -> bool {
    const KINDS: [&[&str]; 5] = [
        &["ro", "rw"],
        &["z", "Z"],
        &PROPAGATION,
        &["nocopy"],
        &["consistent", "cached", "delegated"],
    ];
    let words: Vec<&str> = mode.split(',').collect();
    let known = |w: &&str| KINDS.iter().any(|kind| kind.contains(w));
    let once = |kind: &&[&str]| words.iter().filter(|w| kind.contains(w)).count() <= 1;
    mode.is_empty() || (words.iter().all(known) && KINDS.iter().all(once))
}

/// Whether it names a propagation.
pub fn propagation_is_valid(word: &str) -> bool {
    PROPAGATION.contains(&word)
}

/// Docker's texts for what is wrong. A volume's name is judged by whoever makes it.
pub fn parse(text: &str) -> Result<Bind, String> {
    let invalid = || format!("invalid volume specification: '{text}'");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => ("", target, ""),
        // A destination and a mode would be a volume that nobody could name.
        [_, mode] if mode_is_valid(mode) => return Err(invalid()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    if parts[0].is_empty() {
        return Err(invalid());
    }
    if !mode_is_valid(mode) {
        return Err(format!("invalid mode: {mode}"));
    }
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let refuse = |why: String| format!("{}: invalid mount config for type \"{kind}\": {why}", invalid());
    if target.is_empty() {
        return Err(refuse("field Target must not be empty".into()));
    }
    let destination = clean(target);
    if destination == "/" {
        return Err(refuse("invalid specification: destination can't be '/'".into()));
    }
    if !destination.starts_with('/') {
        return Err(refuse(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let mut bind = Bind {
        source: if kind == "bind" {
            clean(source)
        } else {
            source.into()
        },
        destination,
        mode: mode.into(),
        ..Bind::default()
    };
    for option in mode.split(',') {
        match option {
            "ro" => bind.read_only = true,
            "nocopy" if kind == "bind" => {
                return Err(refuse("field VolumeOptions must not be specified".into()));
            }
            "nocopy" => bind.no_copy = true,
            p if PROPAGATION.contains(&p) && kind == "volume" => {
                return Err(refuse("field BindOptions must not be specified".into()));
            }
            p if PROPAGATION.contains(&p) => bind.propagation = p.into(),
            _ => {}
        }
    }
    if kind == "bind" && bind.propagation.is_empty() {
        bind.propagation = "rprivate".into();
    }
    Ok(bind)
}

/// One line of `/proc/self/mountinfo`, as far as propagation goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedAt {
    pub point: String,
    pub shared: bool,
    pub slave: bool,
}

/// The mount that `path` lies on, from the text of `/proc/self/mountinfo`.
pub fn mounted_at(mountinfo: &str, path: &str) -> Option<MountedAt> {
    let below = |point: &str| {
        let rest = path.strip_prefix(point.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounts = mountinfo.lines().filter_map(|line| {
        let (fields, _) = line.split_once(" - ")?;
        let mut words = fields.split(' ').skip(4);
        let point = unescape(words.next()?);
        let tags: Vec<&str> = words.skip(1).collect();
        below(&point).then(|| MountedAt {
            point,
            shared: tags.iter().any(|t| t.starts_with("shared:")),
            slave: tags.iter().any(|t| t.starts_with("master:")),
        })
    });
    // The longest, and of equals the last: it lies on top.
    mounts.fold(None, |best: Option<MountedAt>, m| match best {
        Some(best) if best.point.len() > m.point.len() => Some(best),
        _ => Some(m),
    })
}

/// The kernel writes spaces and the like as `\040`.
fn unescape(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|o| u8::from_str_radix(o, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

/// Docker's refusal when `source` cannot be mounted with this propagation, since the mount that it lies on keeps to
/// itself.
pub fn check_propagation(mountinfo: &str, source: &str, propagation: &str) -> Result<(), String> {
    let Some(at) = mounted_at(mountinfo, source) else {
        return Ok(());
    };
    let what = match propagation {
        "shared" | "rshared" if !at.shared => "a shared mount",
        "slave" | "rslave" if !at.shared && !at.slave => "a shared or slave mount",
        _ => return Ok(()),
    };
    Err(format!(
        "path {source} is mounted on {} but it is not {what}",
        at.point
    ))
}

/// Refuses names that Docker refuses for a volume.
pub fn volume_name(name: &str) -> Result<(), String> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.len() >= 2 && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(ok) {
        return Ok(());
    }
    if name.len() == 1 {
        return Err("volume name is too short, names should be at least two alphanumeric characters".into());
    }
    Err(format!(
        "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    ))
}

/// `filepath.Clean`: no `.`/`..`/double slashes; keeps a leading slash.
pub fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if absolute => {
                parts.pop();
            }
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// `--tmpfs` options → mount options for a tmpfs, Docker's defaults first. Refuses what is not a tmpfs option.
pub fn tmpfs_options(text: &str) -> Result<Vec<String>, String> {
    const FLAGS: [&str; 22] = [
        "rw",
        "ro",
        "exec",
        "noexec",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "async",
        "sync",
        "dirsync",
        "remount",
        "mand",
        "nomand",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "bind",
    ];
    const VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
    const OPPOSITE: [(&str, &str); 3] = [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")];
    let mut out: Vec<String> = ["noexec", "nosuid", "nodev"].map(String::from).to_vec();
    for option in text.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) if VALUES.contains(&key) && !value.is_empty() => out.push(option.into()),
            None if FLAGS.contains(&option) || PROPAGATION.contains(&option) => {
                out.retain(|o| !OPPOSITE.contains(&(o.as_str(), option)));
                if !out.iter().any(|o| o == option) {
                    out.push(option.into());
                }
            }
            Some((key, _)) => return Err(format!("invalid tmpfs option {key:?}")),
            None => return Err(format!("invalid tmpfs option {option:?}")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_volumes_and_anonymous_ones() {
        let b = parse("/src/./x/:/dst:ro,rslave").unwrap();
        assert_eq!(
            (b.source.as_str(), b.destination.as_str(), b.read_only),
            ("/src/x", "/dst", true)
        );
        assert_eq!(b.propagation, "rslave");
        let v = parse("data:/var/lib").unwrap();
        assert!(v.is_volume() && v.propagation.is_empty());
        let a = parse("/anon").unwrap();
        assert!(a.is_volume() && a.source.is_empty());
        assert!(parse("data:/x:nocopy").unwrap().no_copy);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            ":/x",
            "a:b:c:d",
            "data:rel",
            "/a:/",
            "a:/b:wat",
            "vol:/x:shared",
            "/a:/b:nocopy",
            "/a:/b:ro,rw",
            "/a:/b:ro,,",
            "/a:ro",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("x:/a:badmode").unwrap_err(), "invalid mode: badmode");
        assert_eq!(
            parse("/tmp:relative").unwrap_err(),
            "invalid volume specification: '/tmp:relative': invalid mount config for type \"bind\": invalid mount path: 'relative' mount path must be absolute"
        );
        assert!(
            volume_name("bad name")
                .unwrap_err()
                .contains("includes invalid characters for a local volume name")
        );
    }

    #[test]
    fn what_keeps_to_itself_cannot_be_shared() {
        let info = "20 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
            21 20 0:20 / /a\\040b rw shared:5 - tmpfs x rw\n\
            22 20 0:21 / /s rw master:5 - tmpfs x rw\n";
        let check = |source, word| check_propagation(info, source, word);
        assert_eq!(
            check("/etc", "rslave").unwrap_err(),
            "path /etc is mounted on / but it is not a shared or slave mount"
        );
        assert!(
            check("/etc", "rshared")
                .unwrap_err()
                .ends_with("not a shared mount")
        );
        assert!(check("/etc", "rprivate").is_ok() && check("/a b/x", "rshared").is_ok());
        assert!(
            check("/s", "slave").is_ok() && check("/s", "shared").is_err() && check("/sx", "slave").is_err()
        );
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (from, to) in [
            ("/a/../b//c/", "/b/c"),
            ("/..", "/"),
            ("a/./b", "a/b"),
            ("", "."),
            ("../x", "../x"),
        ] {
            assert_eq!(clean(from), to);
        }
    }

    #[test]
    fn tmpfs_options_start_from_dockers() {
        assert_eq!(tmpfs_options("").unwrap(), ["noexec", "nosuid", "nodev"]);
        assert_eq!(
            tmpfs_options("exec,size=1m").unwrap(),
            ["nosuid", "nodev", "exec", "size=1m"]
        );
        assert!(tmpfs_options("lowerdir=/x").is_err());
    }
}
