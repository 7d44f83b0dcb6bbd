//! Every operation with every parameter, played at each API version: ours answers as the reference engine did when the
//! recordings in `stories/recorded` were made, but for the rows of `DIFFERENCES.md`.
//!
//! `SHOAL_CONFORMANCE_HOST=… SHOAL_RECORD=1` writes the recordings anew. Run on the reference engine without it, a story
//! proves that its recording holds still.

use shoal_tests_conformance::{Differences, Engine, Story, Told, differences, schema};
use std::collections::BTreeSet;

const VERSIONS: [&str; 4] = ["1.24", "1.41", "1.44", "1.51"];

fn play(name: &str) {
    let e = Engine::start();
    let story = Story::read(name);
    let known = Differences::of(name);
    let mut wrong = BTreeSet::new();
    for version in VERSIONS {
        let prefix = e.name(&format!("{}v{}", &name[..1], version.replace('.', "")));
        let told = story.play(&e.socket(), version, &prefix, |_, _| {});
        let path = story.recording(version);
        if e.is_reference() && std::env::var_os("SHOAL_RECORD").is_some() {
            let text: String = told.iter().map(Told::text).collect();
            std::fs::write(&path, text).expect("a recording");
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let recorded = Told::read(&text);
        assert_eq!(recorded.len(), told.len(), "{name} changed: record it again");
        for (want, have) in recorded.iter().zip(&told) {
            assert_eq!(want.request, have.request, "{name} changed: record it again");
            let mut found = differences(&want.body, &have.body);
            if want.head != have.head {
                found.push(("head".into(), format!("{:?} but {:?}", want.head, have.head)));
            }
            for (place, what) in found {
                // Some of what is listed the reference answers in two ways, as it comes.
                if !known.known(&want.request, &place) {
                    wrong.insert(format!("{} | {place} | {what}", want.request));
                }
            }
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(
        wrong.is_empty(),
        "{name}: {} differences\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    if !e.is_reference() {
        assert_eq!(
            known.unused(),
            Vec::<String>::new(),
            "rows of DIFFERENCES.md that are no longer true"
        );
    }
}

#[test]
fn containers_are_made_found_and_removed() {
    play("containers-create");
}

#[test]
fn containers_live() {
    play("containers-life");
}

#[test]
fn containers_are_heard_and_their_files_seen() {
    play("containers-streams");
}

#[test]
fn programs_run_beside() {
    play("execs");
}

#[test]
fn volumes_come_and_go() {
    play("volumes");
}

#[test]
fn the_daemon_tells_of_itself() {
    play("system");
}

/// What 1.52 to 1.55 are: no engine to record is there, so every answer is checked by the definition.
#[test]
fn the_newest_answers_are_the_definitions() {
    let e = Engine::start();
    if e.is_reference() {
        return;
    }
    let operations = schema::operations();
    let mut wrong = BTreeSet::new();
    for story in Story::all() {
        let known = Differences::of(&format!("{} 1.55", story.name));
        let ours = Differences::of(&story.name);
        let recorded = std::fs::read_to_string(story.recording("1.51")).expect("a recording");
        let recorded = Told::read(&recorded);
        story.play(
            &e.socket(),
            "1.55",
            &e.name(&format!("{}n", &story.name[..1])),
            |step, answer| {
                let Some(operation) = operations.iter().find(|o| o.takes(&step.method, &step.target)) else {
                    return;
                };
                let request = step.title();
                let status = answer.status.to_string();
                let mut fault = |place: &str, what: String| {
                    if !known.known(&request, place) {
                        wrong.insert(format!("{request} | {place} | {what}"));
                    }
                };
                // The definition leaves many refusals out that the reference engine gives, and so do we.
                let refused = recorded
                    .iter()
                    .any(|told| told.request == request && told.head.starts_with(&status));
                let known_refusal = (400..500).contains(&answer.status) && ours.known(&request, "head");
                if !operation.statuses().contains(&status.as_str()) && !refused && !known_refusal {
                    fault(
                        "status",
                        format!(
                            "{status} is none of {:?}: {}",
                            operation.statuses(),
                            answer.text()
                        ),
                    );
                }
                let json = answer.header("content-type") == Some("application/json");
                if let (Some(schema), true, true) =
                    (operation.answer(answer.status), json, step.method != "HEAD")
                {
                    for value in serde_json::Deserializer::from_slice(&answer.body).into_iter() {
                        let value = value.unwrap_or_else(|e| panic!("{request}: {e}: {}", answer.text()));
                        for what in schema::faults(schema, &value) {
                            fault(what.split(' ').next().unwrap_or_default(), what.clone());
                        }
                    }
                }
            },
        );
        for row in known.unused() {
            wrong.insert(format!("{row}: not true any more"));
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{} faults\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_operation_and_parameter_is_in_a_story() {
    let stories = Story::all();
    let steps: Vec<_> = stories.iter().flat_map(|s| &s.steps).collect();
    let mut missing = Vec::new();
    let operations = schema::operations();
    assert_eq!(
        operations.len(),
        42,
        "the definition has 25 + 4 + 6 + 7 operations"
    );
    for operation in operations {
        let name = format!("{} {}", operation.method, operation.path);
        let mine: Vec<_> = steps
            .iter()
            .filter(|s| operation.takes(&s.method, &s.target))
            .collect();
        if mine.is_empty() {
            missing.push(name.clone());
        }
        for parameter in operation.query() {
            let given = |target: &str| {
                let query = target.split_once('?').map_or("", |(_, query)| query);
                query
                    .split('&')
                    .any(|pair| pair.split('=').next() == Some(parameter))
            };
            if !mine.iter().any(|s| given(&s.target)) {
                missing.push(format!("{name} ?{parameter}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "no story has these");
}
