//! What filters let through.

use shoal_api_types::Filters;

/// The names that a `reference` filter lets through; all of them without one.
pub(super) fn by_reference(names: &[String], filters: &Filters) -> Vec<String> {
    let passes = |name: &String| {
        let repository = match name.rsplit_once('@').or_else(|| name.rsplit_once(':')) {
            Some((repository, _)) => repository,
            None => name,
        };
        filters
            .get("reference")
            .any(|pattern| glob(pattern, name) || glob(pattern, repository))
    };
    names
        .iter()
        .filter(|n| !filters.contains("reference") || passes(n))
        .cloned()
        .collect()
}

/// Whether a `label!` filter keeps it out: each of them does.
pub(super) fn excluded<'a>(filters: &Filters, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    filters.get("label!").any(|wanted| match wanted.split_once('=') {
        Some((key, value)) => label(key) == Some(value),
        None => label(wanted).is_some(),
    })
}

/// As Go's `path.Match`: `*`, `?` and `[a-z]` within one path component, a backslash before what is meant as it is.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Behind the last star, and the text that it leaves. No earlier one could take more than this one can.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            star = Some((rest, text));
            pattern = rest;
        } else if pattern.is_empty() && text.is_empty() {
            return true;
        } else if let Some(next) = glob_one(pattern, text) {
            (pattern, text) = next;
        } else if let Some((behind, [c, left @ ..])) = star
            && *c != b'/'
        {
            star = Some((behind, left));
            (pattern, text) = (behind, left);
        } else {
            return false;
        }
    }
}

/// What is left of both if the pattern's first element, which is no star, takes the text's first character.
fn glob_one<'a>(pattern: &'a [u8], text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (first, rest) = pattern.split_first()?;
    let (c, left) = text.split_first()?;
    let takes = |yes: bool, rest| yes.then_some((rest, left));
    match first {
        b'?' => takes(*c != b'/', rest),
        b'[' => {
            let end = rest.iter().skip(1).position(|c| *c == b']')? + 1;
            let (set, negated) = match &rest[..end] {
                [b'^', set @ ..] => (set, true),
                set => (set, false),
            };
            takes(*c != b'/' && within(set, *c) != negated, &rest[end + 1..])
        }
        b'\\' => {
            let (own, rest) = rest.split_first()?;
            takes(own == c, rest)
        }
        own => takes(own == c, rest),
    }
}

/// `a-z0-9_`.
fn within(mut set: &[u8], c: u8) -> bool {
    loop {
        match set {
            [low, b'-', high, rest @ ..] => {
                if *low <= c && c <= *high {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn reference_patterns() {
        assert!(glob("busy*", "busybox") && glob("busybox", "busybox") && glob("reg/*/x", "reg/a/x"));
        assert!(!glob("*", "a/b") && !glob("busy", "busybox") && !glob("?", ""));
        assert!(
            glob("[a-c]x[^0-9]", "bxy") && !glob("[a-c]x", "dx") && !glob("[^a]", "a") && !glob("[a", "a")
        );
        assert!(glob(r"a\*", "a*") && !glob(r"a\*", "ab") && !glob("a\\", "a"));
    }
}
