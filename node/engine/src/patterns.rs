//! Filters by name: as Docker's they are regular expressions that may match anywhere in it.

use regex::{Regex, RegexBuilder};
use shoal_api_types::Filters;

/// A compiled expression may take this much; a larger one finds nothing.
const BYTES_MAX: usize = 1 << 20;

/// What one key of the filters looks for; nothing in particular when it was not given.
pub(crate) struct Patterns(Option<Vec<Pattern>>);

enum Pattern {
    /// Most filters are no expressions.
    Plain(String),
    Regex(Regex),
}

impl Patterns {
    /// What is no expression finds nothing.
    pub fn of(filters: &Filters, key: &str) -> Self {
        let compiled = |text: &str| match text.contains([
            '\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$',
        ]) {
            false => Some(Pattern::Plain(text.into())),
            true => {
                let built = RegexBuilder::new(text).size_limit(BYTES_MAX).build();
                built.ok().map(Pattern::Regex)
            }
        };
        Self(
            filters
                .contains(key)
                .then(|| filters.get(key).filter_map(compiled).collect()),
        )
    }

    pub fn find_in(&self, text: &str) -> bool {
        let Some(patterns) = &self.0 else { return true };
        patterns.iter().any(|pattern| match pattern {
            Pattern::Plain(part) => text.contains(part.as_str()),
            Pattern::Regex(regex) => regex.is_match(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_gos_regular_expressions() {
        let finds = |pattern: &str, text: &str| {
            let mut filters = Filters::new();
            filters.add("name", pattern);
            Patterns::of(&filters, "name").find_in(text)
        };
        for pattern in [
            "web", "^/web_1$", "_1$", "w.b", "x|web", "[v-x]eb", r"\bweb", "(?i)WEB",
        ] {
            assert!(finds(pattern, "/web_1"), "{pattern}");
        }
        for pattern in ["^web", "web$", "WEB", "(", "a{1000}{1000}{1000}"] {
            assert!(!finds(pattern, "/web_1"), "{pattern}");
        }
        assert!(Patterns::of(&Filters::new(), "name").find_in("anything"));
    }
}
