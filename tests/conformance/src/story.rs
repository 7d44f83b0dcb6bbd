//! Stories: requests in a row, written down as text, and what the reference engine answered to each.
//!
//! A story is a file in `stories/`. A line that starts with a method is a request; the lines below it, indented, say more:
//! a JSON body, `tar NAME=TEXT` for an archive as body, `@Header: value`, `>name=Member` to keep a member of the answer for
//! `{name}` in later lines, `shape` where only members and kinds of values can be compared, `since V` and `until V` for
//! versions. `! pause MS` waits. `{p}` is the prefix of everything that the story makes, `{now}` the time in seconds.

use crate::answers::Told;
use shoal_tests_harness::{Answer, request_raw};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Default)]
pub struct Step {
    pub method: String,
    /// As written, with placeholders.
    pub target: String,
    pub body: String,
    tar: Vec<(String, String)>,
    headers: String,
    keep: Vec<(String, String)>,
    pub shape: bool,
    since: u32,
    until: u32,
    pause: u64,
}

pub struct Story {
    pub name: String,
    pub steps: Vec<Step>,
}

fn minor(version: &str) -> u32 {
    version
        .split_once('.')
        .and_then(|(_, minor)| minor.trim().parse().ok())
        .unwrap_or_else(|| panic!("{version:?} is no version"))
}

impl Step {
    /// How recordings and the table of differences name it.
    pub fn title(&self) -> String {
        let tar = self.tar.iter().map(|(name, text)| format!(" tar {name}={text}"));
        let body = if self.body.is_empty() {
            String::new()
        } else {
            format!(" {}", self.body)
        };
        format!("{} {}{body}{}", self.method, self.target, tar.collect::<String>())
    }
}

impl Story {
    pub fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("stories")
    }

    /// All there are, by name.
    pub fn all() -> Vec<Story> {
        let files = std::fs::read_dir(Story::folder()).expect("the stories").flatten();
        let mut names: Vec<String> = files
            .filter_map(|f| Some(f.file_name().to_str()?.strip_suffix(".story")?.to_owned()))
            .collect();
        names.sort();
        names.iter().map(|name| Story::read(name)).collect()
    }

    pub fn read(name: &str) -> Story {
        let path = Story::folder().join(format!("{name}.story"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut steps: Vec<Step> = Vec::new();
        for line in text
            .lines()
            .filter(|l| !l.trim().is_empty() && !l.starts_with('#'))
        {
            let fresh = Step {
                until: u32::MAX,
                ..Step::default()
            };
            if let Some(ms) = line.strip_prefix("! pause ") {
                let pause = ms.trim().parse().expect("milliseconds");
                steps.push(Step { pause, ..fresh });
                continue;
            }
            let Some(more) = line.strip_prefix(' ') else {
                let (method, target) = line.split_once(' ').unwrap_or_else(|| panic!("{name}: {line}"));
                steps.push(Step {
                    method: method.to_owned(),
                    target: target.trim().to_owned(),
                    ..fresh
                });
                continue;
            };
            let (step, more) = (steps.last_mut().expect("a request above"), more.trim());
            if let Some(header) = more.strip_prefix('@') {
                step.headers += &format!("{header}\r\n");
            } else if let Some(pair) = more.strip_prefix("tar ") {
                let (path, text) = pair.split_once('=').expect("NAME=TEXT");
                step.tar.push((path.to_owned(), text.to_owned()));
            } else if let Some((name, member)) = more.strip_prefix('>').and_then(|m| m.split_once('=')) {
                step.keep.push((name.to_owned(), member.to_owned()));
            } else if more == "shape" {
                step.shape = true;
            } else if let Some(version) = more.strip_prefix("since ") {
                step.since = minor(version);
            } else if let Some(version) = more.strip_prefix("until ") {
                step.until = minor(version);
            } else {
                step.body += more;
            }
        }
        Story {
            name: name.to_owned(),
            steps,
        }
    }

    /// Plays it at one API version. `seen` hears of each request and its whole answer as well.
    pub fn play(
        &self,
        socket: &Path,
        version: &str,
        prefix: &str,
        mut seen: impl FnMut(&Step, &Answer),
    ) -> Vec<Told> {
        let mut names = BTreeMap::from([("p".to_owned(), prefix.to_owned())]);
        let mut told = Vec::new();
        let age = minor(version);
        for step in self.steps.iter().filter(|s| (s.since..=s.until).contains(&age)) {
            if step.pause > 0 {
                std::thread::sleep(std::time::Duration::from_millis(step.pause));
                continue;
            }
            let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
            names.insert("now".into(), now.to_string());
            let fill = |text: &str| {
                let filled = names.iter();
                filled.fold(text.to_owned(), |text, (name, value)| {
                    text.replace(&format!("{{{name}}}"), value)
                })
            };
            let path = format!("/v{version}{}", escape(&fill(&step.target)));
            let mut headers = fill(&step.headers);
            let body = if step.tar.is_empty() {
                if !step.body.is_empty() && !headers.to_ascii_lowercase().contains("content-type") {
                    headers += "Content-Type: application/json\r\n";
                }
                fill(&step.body).into_bytes()
            } else {
                tar(&step.tar)
            };
            let answer = request_raw(socket, &step.method, &path, &headers, &body)
                .unwrap_or_else(|e| panic!("{} v{version}: {} {path}: {e}", self.name, step.method));
            seen(step, &answer);
            for (name, member) in &step.keep {
                let value = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
                let value = value[member].as_str().unwrap_or("nothing-kept").to_owned();
                names.insert(name.clone(), value);
            }
            told.push(Told::of(step, &answer, prefix));
        }
        told
    }

    pub fn recording(&self, version: &str) -> PathBuf {
        Story::folder()
            .join("recorded")
            .join(format!("{}.v{version}.txt", self.name))
    }
}

/// Percent signs for what a request line cannot hold.
fn escape(target: &str) -> String {
    target
        .bytes()
        .map(|b| match b {
            b'"' | b'{' | b'}' | b'[' | b']' | b' ' | b'<' | b'>' | b'^' | b'\\' | b'|' | b'`' | 0x80.. => {
                format!("%{b:02X}")
            }
            _ => char::from(b).to_string(),
        })
        .collect()
}

/// An archive with these files.
pub fn tar(files: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, text) in files {
        let mut head = [0u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        for (at, field) in [(100, "0000644"), (108, "0000000"), (116, "0000000")] {
            head[at..at + 7].copy_from_slice(field.as_bytes());
        }
        head[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        head[136..147].copy_from_slice(b"00000000000");
        head[148..156].fill(b' ');
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(text.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}
