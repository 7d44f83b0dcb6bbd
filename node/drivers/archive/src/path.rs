//! Paths as clients write them.

/// A path inside a container, made absolute and cleaned as Go's `filepath.Clean` does, with the `/` or `/.` at its end
/// kept: they mean "the directory, also behind a link".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPath {
    text: String,
}

impl ClientPath {
    pub fn new(given: &str) -> ClientPath {
        let mut parts: Vec<&str> = Vec::new();
        for part in given.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let mut text = format!("/{}", parts.join("/"));
        if base(given) == "." {
            if !text.ends_with('/') {
                text.push('/');
            }
            text.push('.');
        }
        if given.ends_with('/') && !text.ends_with('/') {
            text.push('/');
        }
        ClientPath { text }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What Docker calls it: the last name, `/` for the root, `.` where the path ended so.
    pub fn base(&self) -> &str {
        base(&self.text)
    }

    /// Without what was kept at the end.
    pub fn clean(&self) -> &str {
        let text = self.text.trim_end_matches('/');
        let text = text.strip_suffix("/.").unwrap_or(text).trim_end_matches('/');
        if text.is_empty() { "/" } else { text }
    }
}

/// Go's `filepath.Base`.
fn base(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.is_empty() => ".",
        "" => "/",
        path => path.rsplit('/').next().unwrap_or(path),
    }
}

/// Whether a cleaned path is `directory` or below it.
pub fn within(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_cleans_them() {
        for (given, text, name, clean) in [
            ("/", "/", "/", "/"),
            ("/.", "/.", ".", "/"),
            (".", "/.", ".", "/"),
            ("etc", "/etc", "etc", "/etc"),
            ("/etc/", "/etc/", "etc", "/etc"),
            ("/etc/.", "/etc/.", ".", "/etc"),
            ("/etc/./", "/etc/./", ".", "/etc"),
            ("../../etc/../d//f", "/d/f", "f", "/d/f"),
            ("/..", "/", "/", "/"),
        ] {
            let path = ClientPath::new(given);
            assert_eq!(
                (path.as_str(), path.base(), path.clean()),
                (text, name, clean),
                "{given}"
            );
        }
    }

    #[test]
    fn below_is_by_names_not_by_letters() {
        assert!(within("/vol", "/vol") && within("/vol/x", "/vol") && within("/x", "/"));
        assert!(!within("/volume", "/vol") && !within("/", "/vol"));
    }
}
