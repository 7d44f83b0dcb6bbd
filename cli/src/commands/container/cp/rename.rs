//! What a destination means: where an archive is unpacked, and what its first name becomes.

use anyhow::{Result, bail};

/// One end of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// With the `/` or `/.` at its end that the user wrote.
    pub path: String,
    pub exists: bool,
    pub is_dir: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub directory: String,
    /// The first name of every entry, and what it is to be.
    pub rename: Option<(String, String)>,
}

/// As docker's table has it: a directory takes the source into itself under its name, anything else becomes the source.
pub fn prepare(source: &Side, target: &Side) -> Result<Plan> {
    if target.exists && target.is_dir {
        return Ok(Plan {
            directory: target.path.clone(),
            rename: None,
        });
    }
    if target.exists && source.is_dir {
        bail!("cannot copy directory");
    }
    if !target.exists && !source.is_dir && (target.path.ends_with('/') || base(&target.path) == ".") {
        bail!("no such directory");
    }
    Ok(Plan {
        directory: directory(&target.path),
        rename: Some((base(&source.path), base(&target.path))),
    })
}

impl Plan {
    /// The name of an entry after the renaming.
    pub fn name(&self, name: &str) -> String {
        match &self.rename {
            Some((from, to)) => {
                let from = if from == "/" { "" } else { from };
                match name.strip_prefix(from) {
                    Some(rest) => format!("{to}{rest}"),
                    None => name.to_owned(),
                }
            }
            None => name.to_owned(),
        }
    }
}

/// Go's `filepath.Clean`, with the `/` or `/.` at the end kept.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !path.starts_with('/') => parts.push(".."),
                _ => drop(parts.pop()),
            },
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut out = format!("{root}{}", parts.join("/"));
    if path == "." || path.ends_with("/.") {
        out.push_str(if out.is_empty() || out.ends_with('/') {
            "."
        } else {
            "/."
        });
    } else if path.ends_with('/') && !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// The last name; `.` where the path says "what is in it".
pub fn base(path: &str) -> String {
    let path = clean(path);
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.rsplit('/').next().unwrap_or(path).to_owned(),
    }
}

/// What comes before the last name.
pub fn directory(path: &str) -> String {
    let path = clean(path);
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((above, _)) => above.to_owned(),
        None if path.starts_with('/') => "/".to_owned(),
        None => ".".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(path: &str, exists: bool, is_dir: bool) -> Side {
        Side {
            path: path.into(),
            exists,
            is_dir,
        }
    }

    #[test]
    fn docker_s_table() {
        let file = side("/a/f", true, false);
        let dir = side("/a/d", true, true);
        let content = side("/a/d/.", true, true);
        for (source, target, directory, name) in [
            (&file, side("/t", true, true), "/t", "f"),
            (&file, side("/t/", true, true), "/t/", "f"),
            (&file, side("/t/x", true, false), "/t", "x"),
            (&file, side("/t/x", false, false), "/t", "x"),
            (&dir, side("/t", true, true), "/t", "d/y"),
            (&dir, side("/t/new", false, false), "/t", "new/y"),
            (&content, side("/t", true, true), "/t", "./y"),
            (&content, side("/t/new", false, false), "/t", "new/y"),
        ] {
            let plan = prepare(source, &target).unwrap();
            let first = match base(&source.path).as_str() {
                "f" => "f".to_owned(),
                base => format!("{base}/y"),
            };
            assert_eq!(
                (plan.directory.as_str(), plan.name(&first).as_str()),
                (directory, name),
                "{source:?} {target:?}"
            );
        }
        assert_eq!(
            prepare(&dir, &side("/t/x", true, false)).unwrap_err().to_string(),
            "cannot copy directory"
        );
        assert_eq!(
            prepare(&file, &side("/t/x/", false, false))
                .unwrap_err()
                .to_string(),
            "no such directory"
        );
    }

    #[test]
    fn paths_are_taken_apart_as_go_does() {
        for (path, cleaned, above, name) in [
            ("/a/b", "/a/b", "/a", "b"),
            ("/a/b/", "/a/b/", "/a", "b"),
            ("/a/b/.", "/a/b/.", "/a/b", "."),
            ("/", "/", "/", "/"),
            ("/a", "/a", "/", "a"),
            ("a", "a", ".", "a"),
            ("../a//b/..", "../a", "..", "a"),
            (".", ".", ".", "."),
        ] {
            assert_eq!(
                (
                    clean(path).as_str(),
                    directory(path).as_str(),
                    base(path).as_str()
                ),
                (cleaned, above, name),
                "{path}"
            );
        }
    }
}
