//! The local driver's options, checked as Docker checks them, and the mount that they describe.

use shoal_node_core_host::sizes;
use std::collections::BTreeMap;

use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::error::{Error, Result};

/// `quota`: whether a volume can be held to a size.
pub(crate) fn check(name: &str, options: &BTreeMap<String, String>, quota: bool) -> Result<()> {
    let invalid = |why: String| Err(Error::InvalidParameter(format!("create {name}: {why}")));
    if let Some(unknown) = options
        .keys()
        .find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size"))
    {
        return invalid(format!("invalid option: {unknown:?}"));
    }
    if let Some(text) = options.get("size") {
        if size(text).is_none() {
            return invalid(format!("invalid size: '{text}'"));
        }
        // Quotas are set up for a whole file system by its administrator.
        if !quota {
            return invalid("quota size requested but no quota support".into());
        }
    }
    if ["type", "o", "device"]
        .iter()
        .any(|key| options.contains_key(*key))
    {
        for required in ["device", "type"] {
            if !options.contains_key(required) {
                return invalid(format!("missing required option: {required:?}"));
            }
        }
    }
    Ok(())
}

/// Bytes of a quota; none are negative.
pub fn size(text: &str) -> Option<u64> {
    sizes::bytes(text).and_then(|bytes| u64::try_from(bytes).ok())
}

/// What is to be mounted over a volume's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub device: String,
    pub kind: String,
    pub flags: MountFlags,
    pub propagation: MountPropagationFlags,
    /// What the file system itself understands.
    pub data: String,
}

impl Mount {
    /// `None` for a volume without a device: a plain directory.
    pub fn of(options: &BTreeMap<String, String>) -> Option<Mount> {
        let get = |key: &str| options.get(key).cloned().unwrap_or_default();
        let device = get("device");
        if device.is_empty() {
            return None;
        }
        let (flags, propagation, data) = words(&get("o"));
        Some(Mount {
            device,
            kind: get("type"),
            flags,
            propagation,
            data,
        })
    }
}

/// Takes mount(8)'s words out of `o`; the rest is data.
fn words(o: &str) -> (MountFlags, MountPropagationFlags, String) {
    use MountFlags as F;
    use MountPropagationFlags as P;
    let (mut flags, mut propagation) = (F::empty(), P::empty());
    let mut data: Vec<&str> = Vec::new();
    for word in o.split(',').filter(|word| !word.is_empty()) {
        let (set, flag) = match word {
            "defaults" => continue,
            "ro" => (true, F::RDONLY),
            "rw" => (false, F::RDONLY),
            "nosuid" => (true, F::NOSUID),
            "suid" => (false, F::NOSUID),
            "nodev" => (true, F::NODEV),
            "dev" => (false, F::NODEV),
            "noexec" => (true, F::NOEXEC),
            "exec" => (false, F::NOEXEC),
            "sync" => (true, F::SYNCHRONOUS),
            "async" => (false, F::SYNCHRONOUS),
            "dirsync" => (true, F::DIRSYNC),
            "noatime" => (true, F::NOATIME),
            "atime" => (false, F::NOATIME),
            "nodiratime" => (true, F::NODIRATIME),
            "diratime" => (false, F::NODIRATIME),
            "relatime" => (true, F::RELATIME),
            "norelatime" => (false, F::RELATIME),
            "strictatime" => (true, F::STRICTATIME),
            "nostrictatime" => (false, F::STRICTATIME),
            "bind" => (true, F::BIND),
            "rbind" => (true, F::BIND | F::REC),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" | "unbindable"
            | "runbindable" => {
                propagation |= match word.trim_start_matches('r') {
                    "private" => P::PRIVATE,
                    "shared" => P::SHARED,
                    "slave" => P::DOWNSTREAM,
                    _ => P::UNBINDABLE,
                };
                if word.starts_with('r') {
                    propagation |= P::REC;
                }
                continue;
            }
            other => {
                data.push(other);
                continue;
            }
        };
        flags.set(flag, set);
    }
    (flags, propagation, data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect()
    }

    #[test]
    fn refuses_in_dockers_words() {
        for (options, why) in [
            (&[("x", "y")][..], "invalid option: \"x\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "/x")], "missing required option: \"type\""),
            (&[("o", "ro")], "missing required option: \"device\""),
            (&[("size", "10m")], "quota size requested but no quota support"),
            (&[("size", "zz")], "invalid size: 'zz'"),
        ] {
            let error = check("v", &map(options), false).unwrap_err();
            assert_eq!(error.to_string(), format!("create v: {why}"));
        }
        assert!(check("v", &map(&[("type", ""), ("device", "x")]), false).is_ok());
        assert!(check("v", &map(&[]), false).is_ok() && check("v", &map(&[("size", "1.5G")]), true).is_ok());
        assert_eq!(
            (size("1.5k"), size("7"), size("2TiB")),
            (Some(1536), Some(7), Some(2 << 40))
        );
        assert_eq!((size("-1"), size(""), size("1x")), (None, None, None));
    }

    #[test]
    fn words_and_data() {
        let mount = Mount::of(&map(&[
            ("type", "none"),
            ("device", "/d"),
            ("o", "rbind,ro,size=1m,rslave,uid=3"),
        ]))
        .expect("a mount");
        assert_eq!(
            mount.flags,
            MountFlags::BIND | MountFlags::REC | MountFlags::RDONLY
        );
        let want = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        assert_eq!((mount.propagation, mount.data.as_str()), (want, "size=1m,uid=3"));
        assert_eq!(Mount::of(&map(&[("type", ""), ("device", "")])), None);
    }
}
