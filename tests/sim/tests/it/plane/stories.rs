//! Every file in `stories/` says what really happens. `SHOAL_STORIES=write` writes down what happens now instead.

use shoal_tests_sim::plane::story;
use std::path::Path;

#[test]
fn stories_end_as_they_are_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 5, "stories are missing in {}", folder.display());
    let mut wrong = Vec::new();
    for file in files {
        let told = std::fs::read_to_string(&file).unwrap();
        let came = story::play(&told);
        if std::env::var_os("SHOAL_STORIES").is_some() {
            std::fs::write(&file, came.trim_end().to_owned() + "\n").unwrap();
        } else if told.trim_end() != came.trim_end() {
            wrong.push(format!("{}:\n{}", file.display(), difference(&told, &came)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn difference(told: &str, came: &str) -> String {
    let mut out = String::new();
    let (told, came): (Vec<_>, Vec<_>) = (told.lines().collect(), came.lines().collect());
    for at in 0..told.len().max(came.len()) {
        let (a, b) = (told.get(at).unwrap_or(&""), came.get(at).unwrap_or(&""));
        if a != b {
            out += &format!("  line {}\n    told: {a}\n    came: {b}\n", at + 1);
        }
    }
    out
}
