//! What a volume may be called. A name is also a directory's, so this is what keeps it inside the root.

use crate::error::{Error, Result};

const NAME_MAX: usize = 255;

pub(crate) fn check(name: &str) -> Result<()> {
    let invalid = |why: String| Err(Error::InvalidParameter(format!("create {name}: {why}")));
    if name.len() < 2 {
        return invalid(
            "volume name is too short, names should be at least two alphanumeric characters".into(),
        );
    }
    if name.len() > NAME_MAX {
        return invalid(format!(
            "volume name is too long, names should be at most {NAME_MAX} characters"
        ));
    }
    let first = name.as_bytes()[0].is_ascii_alphanumeric();
    let rest = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !first || !rest {
        return invalid(format!(
            "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
             allowed. If you intended to pass a host directory, use absolute path"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_names_inside() {
        for name in ["ab", "a.b-c_d", &"a".repeat(255), "0123456789abcdef"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "a",
            "..",
            ".a",
            "a/b",
            "../x",
            "-a",
            "a b",
            "ä1",
            &"a".repeat(256),
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
