//! OCI mount options: one list of words becomes attributes, propagation and the file system's own data.

use oci_spec::runtime::Mount;

/// What the words of one mount mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Bind instead of making a new file system; `Some(true)` with everything below.
    pub bind: Option<bool>,
    /// MOUNT_ATTR_* to set and to clear on this mount.
    pub set: u64,
    pub clear: u64,
    /// The same for this mount and all below it (`rro` and its kin).
    pub set_all: u64,
    pub clear_all: u64,
    /// MS_PRIVATE and so on, and whether it counts for all below too.
    pub propagation: Option<(u64, bool)>,
    /// Copy what the image has at the target into a fresh tmpfs.
    pub copy_up: bool,
    /// What is left, for the file system itself.
    pub data: Vec<(String, Option<String>)>,
}

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;

/// (word, set, clear). The atime values are one field, so setting one clears the field.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", NOSUID, 0),
    ("suid", 0, NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", NOEXEC, 0),
    ("exec", 0, NOEXEC),
    ("noatime", NOATIME, ATIME),
    ("atime", 0, ATIME),
    ("strictatime", STRICTATIME, ATIME),
    ("relatime", 0, ATIME),
    ("norelatime", 0, ATIME),
    ("nostrictatime", 0, ATIME),
    ("nodiratime", NODIRATIME, 0),
    ("diratime", 0, NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("symfollow", 0, NOSYMFOLLOW),
];

const PROPAGATION: &[(&str, u64, bool)] = &[
    ("private", libc::MS_PRIVATE, false),
    ("rprivate", libc::MS_PRIVATE, true),
    ("slave", libc::MS_SLAVE, false),
    ("rslave", libc::MS_SLAVE, true),
    ("shared", libc::MS_SHARED, false),
    ("rshared", libc::MS_SHARED, true),
    ("unbindable", libc::MS_UNBINDABLE, false),
    ("runbindable", libc::MS_UNBINDABLE, true),
];

/// The propagation that a word names, as in an OCI `rootfsPropagation`.
pub fn propagation(word: &str) -> Option<(u64, bool)> {
    PROPAGATION.iter().find(|p| p.0 == word).map(|p| (p.1, p.2))
}

impl Options {
    pub fn of(mount: &Mount) -> Self {
        let mut options = Self::default();
        for word in mount.options().iter().flatten() {
            options.add(word);
        }
        if options.bind.is_none() && mount.typ().as_deref() == Some("bind") {
            options.bind = Some(false);
        }
        options
    }

    fn add(&mut self, word: &str) {
        if let Some((_, set, clear)) = ATTRIBUTES.iter().find(|a| a.0 == word) {
            self.set = self.set & !clear | set;
            self.clear = self.clear & !set | clear;
            return;
        }
        let recursive = word
            .strip_prefix('r')
            .and_then(|w| ATTRIBUTES.iter().find(|a| a.0 == w));
        if let Some(found) = propagation(word) {
            self.propagation = Some(found);
        } else if let Some((_, set, clear)) = recursive {
            self.set_all = self.set_all & !clear | set;
            self.clear_all = self.clear_all & !set | clear;
        } else {
            match word {
                "bind" => self.bind = Some(self.bind.unwrap_or(false)),
                "rbind" => self.bind = Some(true),
                "tmpcopyup" => self.copy_up = true,
                "defaults" | "async" | "nofail" | "loud" | "nomand" | "noiversion" => {}
                _ => self.data.push(match word.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (word.to_owned(), None),
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        let mut options = Options::default();
        words.iter().for_each(|w| options.add(w));
        options
    }

    #[test]
    fn attributes_and_data_are_told_apart() {
        let o = options(&["nosuid", "strictatime", "mode=755", "size=65536k", "newinstance"]);
        assert_eq!(o.set, NOSUID | STRICTATIME);
        assert_eq!(o.data.len(), 3);
        assert_eq!(o.data[0], ("mode".into(), Some("755".into())));
        assert_eq!(o.data[2], ("newinstance".into(), None));
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(options(&["ro", "rw"]).set, 0);
        assert_eq!(options(&["rw", "ro"]).set, RDONLY);
        assert_eq!(options(&["rw", "ro"]).clear, 0);
        assert_eq!(options(&["noatime", "strictatime"]).set, STRICTATIME);
    }

    #[test]
    fn recursive_words_and_binds() {
        let o = options(&["rbind", "rprivate", "rro", "rnosuid"]);
        assert_eq!(o.bind, Some(true));
        assert_eq!(o.propagation, Some((libc::MS_PRIVATE, true)));
        assert_eq!((o.set, o.set_all), (0, RDONLY | NOSUID));
        assert!(o.data.is_empty());
        assert_eq!(
            options(&["relatime"]).clear,
            ATIME,
            "not `elatime` made recursive"
        );
        assert_eq!(options(&["bind"]).bind, Some(false));
    }
}
