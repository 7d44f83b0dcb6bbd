//! Images as a node says that it has them: a number for each name, so that many fit into its description.

/// More are not told of.
pub const HELD_IMAGES_MAX: usize = 256;

/// What stands for an image in [`NodeDescription::images`](crate::NodeDescription::images): of a name with a digest the
/// digest, of an id the id, of another name that name with its tag. Spellings that mean the same give the same number; two
/// images may share one, at no greater cost than a preference that is not well founded.
pub fn held_image(name: &str) -> u64 {
    if let Some((_, digest)) = name.rsplit_once('@') {
        return hash(digest.bytes());
    }
    if name.starts_with("sha256:") {
        return hash(name.bytes());
    }
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let tag = if last.contains(':') { "" } else { ":latest" };
    hash(name.bytes().chain(tag.bytes()))
}

/// FNV-1a. Nodes of any version must agree on it.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::held_image;

    #[test]
    fn one_image_one_number() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let same = [
            ["nginx", "docker.io/library/nginx:latest"],
            ["library/nginx:1", "nginx:1"],
            ["r:5000/team/app", "r:5000/team/app:latest"],
            [&digest, &format!("r:5000/x:1@{digest}")],
        ];
        for [one, other] in same {
            assert_eq!(held_image(one), held_image(other), "{one} {other}");
        }
        assert_ne!(held_image("nginx:1"), held_image("nginx:2"));
        assert_ne!(held_image("r:5000/nginx"), held_image("nginx"));
    }
}
