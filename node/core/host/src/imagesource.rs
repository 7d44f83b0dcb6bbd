//! Where a task's image, and each blob of it, is taken from: this node, other nodes of the cluster, the registry.
//!
//! A name with a digest is the same wherever it comes from. One without is what its node's user made it: an image that was
//! built, loaded, committed, tagged or pulled here by hand is used as it is, as Docker does. What is here only because it
//! was copied from another node for an earlier task follows the cluster: of all that nodes have under the name, the image
//! that was named last counts, so a tag that was set anew on one node is what every other node runs next.

/// What this node has under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Here<'a> {
    pub image: &'a str,
    /// When the name was given by a hand, nanoseconds since the epoch.
    pub named_at: i64,
    /// The name came with a copy from another node.
    pub copied: bool,
}

/// What another node has under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held<'a> {
    pub node: &'a str,
    pub image: &'a str,
    pub named_at: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    Here,
    /// This image, from these nodes, the first one first.
    Nodes(&'a str, Vec<&'a str>),
    Registry,
}

/// Whether others have to be asked at all.
pub fn asks(here: Option<Here>) -> bool {
    here.is_none_or(|here| here.copied)
}

/// Where to look, the first one first; the last one is the last resort. `me` makes nodes that read the same at the same
/// time begin with different ones.
pub fn sources<'a>(me: &str, here: Option<Here<'a>>, held: &[Held<'a>]) -> Vec<Source<'a>> {
    if !asks(here) {
        return vec![Source::Here];
    }
    let last = match here {
        Some(_) => Source::Here,
        None => Source::Registry,
    };
    let newest = held.iter().map(|held| (held.named_at, held.image)).max();
    match (newest, here) {
        (Some(newest), Some(here)) if newest <= (here.named_at, here.image) => vec![last],
        (Some((_, image)), _) => {
            let nodes = held
                .iter()
                .filter(|held| held.image == image)
                .map(|held| held.node);
            vec![
                Source::Nodes(image, ranked(&format!("{image} {me}"), nodes)),
                last,
            ]
        }
        (None, _) => vec![last],
    }
}

/// Who gets a blob for this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bringer<'a> {
    Node(&'a str),
    /// This node itself, from the registry.
    Me,
}

/// Of several nodes that want the same blob from a registry, one fetches it and the others take it from there. Whoever has
/// it is asked first; then whoever is fetching it already; then all that want it agree, without a word, on one of them.
/// Callers leave out who failed them, so that in the end everybody helps himself.
pub fn bringer<'a>(
    blob: &str,
    me: &'a str,
    holders: &[&'a str],
    fetching: &[&'a str],
    company: &[&'a str],
) -> Bringer<'a> {
    if let Some(&holder) = ranked(&format!("{blob} {me}"), holders.iter().copied()).first() {
        return Bringer::Node(holder);
    }
    if let Some(&node) = ranked(blob, fetching.iter().copied()).first() {
        return Bringer::Node(node);
    }
    match ranked(blob, company.iter().copied().chain([me])).first() {
        Some(&node) if node != me => Bringer::Node(node),
        _ => Bringer::Me,
    }
}

/// The nodes in the order that `key` puts them in: the same everywhere, another one for every key, and whoever is left out
/// changes nothing among the rest (rendezvous hashing).
pub fn ranked<'a>(key: &str, nodes: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut nodes: Vec<&str> = nodes.into_iter().collect();
    nodes.sort_by_key(|node| (std::cmp::Reverse(weight(key, node)), *node));
    nodes.dedup();
    nodes
}

/// FNV-1a with a last mixing. Nodes of any version must agree on it.
fn weight(key: &str, node: &str) -> u64 {
    let bytes = key.bytes().chain([0]).chain(node.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held<'a>(node: &'a str, image: &'a str, named_at: i64) -> Held<'a> {
        Held {
            node,
            image,
            named_at,
        }
    }

    fn here(image: &str, named_at: i64, copied: bool) -> Option<Here<'_>> {
        Some(Here {
            image,
            named_at,
            copied,
        })
    }

    #[test]
    fn what_a_user_named_here_is_used() {
        let newer = [held("n2", "b", 9)];
        assert_eq!(sources("n1", here("a", 1, false), &newer), [Source::Here]);
        assert!(!asks(here("a", 1, false)));
    }

    #[test]
    fn a_copy_follows_the_name_that_was_given_last() {
        let copy = here("a", 5, true);
        assert_eq!(sources("n1", copy, &[held("n2", "b", 4)]), [Source::Here]);
        assert_eq!(sources("n1", copy, &[held("n2", "a", 5)]), [Source::Here]);
        assert_eq!(sources("n1", copy, &[]), [Source::Here]);
        let newer = [held("n2", "b", 6), held("n3", "a", 5), held("n4", "b", 6)];
        let found = sources("n1", copy, &newer);
        let [Source::Nodes("b", nodes), Source::Here] = &found[..] else {
            panic!("{found:?}");
        };
        let mut nodes = nodes.clone();
        nodes.sort_unstable();
        assert_eq!(nodes, ["n2", "n4"]);
    }

    #[test]
    fn what_nobody_has_comes_from_the_registry() {
        assert_eq!(sources("n1", None, &[]), [Source::Registry]);
        let one = sources("n1", None, &[held("n2", "a", 0)]);
        assert_eq!(one, [Source::Nodes("a", vec!["n2"]), Source::Registry]);
    }

    #[test]
    fn all_agree_on_one_and_every_one_gets_its_share() {
        let nodes = ["n1", "n2", "n3", "n4"];
        let mut shares = std::collections::BTreeMap::new();
        for n in 0..400 {
            let blob = format!("sha256:{n:064x}");
            let chosen: Vec<&str> = nodes
                .iter()
                .map(|me| {
                    let others: Vec<&str> = nodes.iter().copied().filter(|n| n != me).collect();
                    match bringer(&blob, me, &[], &[], &others) {
                        Bringer::Node(node) => node,
                        Bringer::Me => me,
                    }
                })
                .collect();
            assert!(chosen.iter().all(|node| *node == chosen[0]), "{blob}: {chosen:?}");
            *shares.entry(chosen[0]).or_insert(0) += 1;
        }
        assert!(
            nodes.iter().all(|node| shares.get(node).is_some_and(|n| *n > 60)),
            "{shares:?}"
        );
    }

    #[test]
    fn whoever_has_it_or_is_at_it_comes_first() {
        assert_eq!(bringer("b", "n1", &["n3"], &["n2"], &["n4"]), Bringer::Node("n3"));
        assert_eq!(bringer("b", "n1", &[], &["n2"], &["n4"]), Bringer::Node("n2"));
        // All others failed.
        assert_eq!(bringer("b", "n1", &[], &[], &[]), Bringer::Me);
    }
}
