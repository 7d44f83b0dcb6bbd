//! `DIFFERENCES.md`: each difference to the reference engine that the stories may show, with its reason. The document is what
//! the tests read, so that neither can say what the other does not.

use std::cell::Cell;

/// One row of a table: `| story | request | where | why |`.
pub struct Row {
    pub story: String,
    request: String,
    place: String,
    used: Cell<bool>,
}

pub struct Differences(Vec<Row>);

impl Differences {
    /// The rows of a story.
    pub fn of(story: &str) -> Differences {
        let text = include_str!("../DIFFERENCES.md");
        let rows = text.lines().filter(|l| l.starts_with("| ")).filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let code = |n: usize| Some(cells.get(n)?.trim_matches('`').to_owned());
            assert_eq!(cells.len(), 4, "four cells: {line}");
            Some(Row {
                story: code(0)?,
                request: code(1)?,
                place: code(2)?,
                used: Cell::new(false),
            })
        });
        Differences(
            rows.filter(|row| row.story == story || row.story == "*")
                .collect(),
        )
    }

    pub fn known(&self, request: &str, place: &str) -> bool {
        let mut rows = self.0.iter();
        let row = rows.find(|row| like(&row.request, request) && like(&row.place, place));
        row.inspect(|row| row.used.set(true)).is_some()
    }

    /// Rows of the story itself that nothing needed: they are no longer true.
    pub fn unused(&self) -> Vec<String> {
        let rows = self.0.iter().filter(|row| row.story != "*" && !row.used.get());
        rows.map(|row| format!("{} {}", row.request, row.place)).collect()
    }
}

/// `*` stands for anything.
fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len())
                .filter(|n| text.is_char_boundary(*n))
                .any(|n| like(rest, &text[n..]))
        }),
    }
}
