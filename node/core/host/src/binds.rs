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

/// Docker's texts for what is wrong.
pub fn parse(text: &str) -> Result<Bind, String> {
    let invalid = || format!("invalid volume specification: '{text}'");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match parts[..] {
        [destination] => ("", destination, ""),
        [source, destination] if destination.starts_with('/') => (source, destination, ""),
        [destination, mode] => ("", destination, mode),
        [source, destination, mode] => (source, destination, mode),
        _ => return Err(invalid()),
    };
    if destination.is_empty() || (parts.len() > 1 && source.is_empty() && mode.is_empty()) {
        return Err(invalid());
    }
    let destination = clean(destination);
    if !destination.starts_with('/') {
        return Err(format!(
            "{}: mount path must be absolute",
            invalid().replacen("'", "", 0)
        ));
    }
    if destination == "/" {
        return Err(format!(
            "{}: invalid specification: destination can't be '/'",
            invalid()
        ));
    }
    let mut bind = Bind {
        source: if source.starts_with('/') {
            clean(source)
        } else {
            source.into()
        },
        destination,
        mode: mode.into(),
        propagation: String::new(),
        ..Bind::default()
    };
    if bind.is_volume() && !bind.source.is_empty() {
        volume_name(&bind.source)?;
    }
    for option in mode.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" => bind.read_only = true,
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" => bind.no_copy = true,
            p if PROPAGATION.contains(&p) && !bind.is_volume() => bind.propagation = p.into(),
            _ => return Err(format!("{}: invalid mode: {mode}", invalid())),
        }
    }
    if !bind.is_volume() && bind.propagation.is_empty() {
        bind.propagation = "rprivate".into();
    }
    Ok(bind)
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
            _ => return Err(format!("invalid tmpfs option {option:?}")),
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
            "a:/b",
            "vol:/x:shared",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(
            parse("bad name:/x")
                .unwrap_err()
                .contains("includes invalid characters for a local volume name")
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
