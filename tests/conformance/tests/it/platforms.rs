//! Images for several platforms under one name: loaded, shown, run, saved, pushed, pulled and removed. The reference
//! engine's classic store keeps one platform; these cases are its containerd store's answers.

use serde_json::{Value, json};
use shoal_tests_conformance::Engine;
use shoal_tests_harness::{Guests, busybox_tar, run_ok};
use std::path::PathBuf;
use std::process::Command;

/// An archive with one name for arm64, amd64 and a statement about the latter; removed when dropped.
pub struct Layout {
    file: PathBuf,
    pub index: String,
    pub arm: String,
    pub amd: String,
}

impl Layout {
    pub fn new(e: &Engine, name: &str, what: &str) -> Layout {
        let file = std::env::temp_dir().join(format!("{}-{what}.tar", e.prefix));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/layout.py");
        let made = run_ok(
            Command::new("python3")
                .arg(script)
                .arg(busybox_tar())
                .arg(name)
                .arg(&file),
        );
        let [index, arm, amd] = made
            .split(' ')
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .try_into()
            .expect("three digests");
        Layout {
            file,
            index,
            arm,
            amd,
        }
    }

    pub fn path(&self) -> &str {
        self.file.to_str().expect("a path")
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

const ARM: &str = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D";

fn get(e: &Engine, path: &str) -> Value {
    let answer = e.api("GET", path, None);
    assert_eq!(answer.status, 200, "{path}");
    answer.json()
}

/// Kinds, platforms and whether they are there, of one image's manifests.
fn shown(e: &Engine, name: &str) -> Vec<(String, bool)> {
    let image = get(e, &format!("/v1.51/images/{name}/json?manifests=1"));
    let manifests = image["Manifests"].as_array().expect("manifests").iter();
    let text = |m: &Value| match m["ImageData"]["Platform"]["architecture"].as_str() {
        Some(arch) => arch.to_owned(),
        None => m["Kind"].as_str().expect("a kind").to_owned(),
    };
    manifests.map(|m| (text(m), m["Available"] == true)).collect()
}

fn all(arm: bool, amd: bool, stated: bool) -> Vec<(String, bool)> {
    [("arm64", arm), ("amd64", amd), ("attestation", stated)]
        .map(|(what, there)| (what.to_owned(), there))
        .to_vec()
}

#[test]
fn one_name_runs_on_each_platform() {
    let e = Engine::start();
    if e.is_reference() {
        return;
    }
    let name = format!("{}/several:v1", e.prefix);
    let layout = Layout::new(&e, &name, "several");
    assert_eq!(
        e.ok(&["load", "-i", layout.path()]),
        format!("Loaded image: {name}")
    );
    assert_eq!(e.ok(&["run", "--rm", &name]), "amd64");
    assert_eq!(
        e.ok(&["run", "--rm", "--platform", "linux/arm64", &name]),
        "arm64"
    );
    let refused = [
        "run",
        "--rm",
        "--pull",
        "never",
        "--platform",
        "linux/s390x",
        &name,
    ];
    let (code, _, err) = e.code(&refused);
    assert!(
        code == 125
            && err.contains(&format!(
                "image with reference {name} was found but does not provide the specified platform (linux/s390x)"
            )),
        "{err}"
    );
    let arch = |options: &[&str]| {
        let mut args = vec!["image", "inspect", "-f", "{{.Architecture}}"];
        args.extend(options);
        args.push(&name);
        e.ok(&args)
    };
    assert_eq!(arch(&[]), "amd64");
    assert_eq!(arch(&["--platform", "linux/arm64"]), "arm64");
    let steps = e.ok(&["history", "--platform", "linux/arm64", "--no-trunc", &name]);
    assert!(steps.contains("own arm64"), "{steps}");
    let tree = e.ok(&["image", "ls", "--tree"]);
    assert!(
        tree.contains(&name) && tree.contains("linux/amd64") && tree.contains("linux/arm64"),
        "{tree}"
    );
    assert_eq!(e.ok(&["images", "-q", &name]).lines().count(), 1);
    // An image of another platform that nobody asked for is told of.
    let arm = e.ok(&[
        "image",
        "inspect",
        "-f",
        "{{.Id}}",
        "--platform",
        "linux/arm64",
        &name,
    ]);
    let (code, _, err) = e.code(&["run", "--rm", &arm]);
    assert!(
        code == 0
            && err.contains(
                "The requested image's platform (linux/arm64) does not match the detected host platform"
            ),
        "{err}"
    );
    e.ok(&["rmi", &name]);
    assert!(!e.docker(&["image", "inspect", &arm]).status.success());
}

#[test]
fn manifests_and_statements_are_told() {
    let e = Engine::start();
    if e.is_reference() {
        return;
    }
    let name = format!("{}/told:v1", e.prefix);
    let layout = Layout::new(&e, &name, "told");
    e.ok(&["load", "-i", layout.path()]);
    assert_eq!(shown(&e, &name), all(true, true, true));
    let container = e.name("told");
    let id = e.ok(&["create", "--name", &container, &name]);
    let list = get(&e, "/v1.51/images/json?manifests=1");
    let images = list.as_array().expect("images").iter();
    let mut own = images.filter(|image| image["RepoTags"] == json!([name]));
    let image = own.next().expect("listed");
    assert_eq!(image["Descriptor"]["digest"], layout.index);
    let amd = &image["Manifests"][1];
    assert_eq!((&amd["ID"], &amd["Kind"]), (&json!(layout.amd), &json!("image")));
    assert_eq!(
        amd["ImageData"]["Platform"],
        json!({"architecture": "amd64", "os": "linux"})
    );
    assert_eq!(amd["ImageData"]["Containers"], json!([id]));
    assert_eq!(image["Manifests"][0]["ImageData"]["Containers"], json!([]));
    let unpacked = amd["ImageData"]["Size"]["Unpacked"].as_u64().expect("bytes");
    let content = amd["Size"]["Content"].as_u64().expect("bytes");
    assert!(unpacked > 500_000 && content > unpacked, "{amd}");
    assert_eq!(amd["Size"]["Total"].as_u64(), Some(unpacked + content));
    let stated = &image["Manifests"][2];
    assert_eq!(stated["AttestationData"], json!({"For": layout.amd}));
    // Not told to who does not ask, and not before it could be asked.
    for path in ["/v1.51/images/json", "/v1.46/images/json?manifests=1"] {
        let list = get(&e, path);
        assert!(
            list.as_array()
                .expect("images")
                .iter()
                .all(|image| image.get("Manifests").is_none()),
            "{path}"
        );
    }
    let both = format!("/v1.51/images/{name}/json?manifests=1&platform={ARM}");
    assert_eq!(e.api("GET", &both, None).status, 400);

    let stated = get(&e, &format!("/v1.55/images/{name}/attestations"));
    assert_eq!(stated[0]["PredicateType"], "https://slsa.dev/provenance/v0.2");
    assert!(stated[0].get("Statement").is_none() && stated[0]["Descriptor"]["digest"].is_string());
    let whole = get(&e, &format!("/v1.55/images/{name}/attestations?statement=1"));
    assert_eq!(whole[0]["Statement"]["predicate"]["by"], "hand");
    let other = get(
        &e,
        &format!("/v1.55/images/{name}/attestations?type=https%3A%2F%2Fspdx.dev%2FDocument"),
    );
    assert_eq!(other, json!([]));
    let arm = get(&e, &format!("/v1.55/images/{name}/attestations?platform={ARM}"));
    assert_eq!(arm, json!([]));
    assert_eq!(
        e.api("GET", &format!("/v1.54/images/{name}/attestations"), None)
            .status,
        404
    );
    e.ok(&["rm", &container]);
    e.ok(&["rmi", &name]);
}

#[test]
fn platforms_are_saved_loaded_and_removed_one_by_one() {
    let e = Engine::start();
    if e.is_reference() {
        return;
    }
    let name = format!("{}/single:v1", e.prefix);
    let layout = Layout::new(&e, &name, "single");
    e.ok(&["load", "--platform", "linux/arm64", "-i", layout.path()]);
    assert_eq!(shown(&e, &name), all(true, false, false));
    e.ok(&["load", "-i", layout.path()]);
    assert_eq!(shown(&e, &name), all(true, true, true));
    let saved = std::env::temp_dir().join(format!("{}-single-saved.tar", e.prefix));
    let file = saved.to_str().expect("a path");
    e.ok(&["save", "--platform", "linux/arm64", "-o", file, &name]);
    let deleted = e.api("DELETE", &format!("/v1.50/images/{name}?platforms={ARM}"), None);
    assert_eq!(deleted.status, 200);
    assert_eq!(shown(&e, &name), all(false, true, true));
    let deleted = e.api("DELETE", &format!("/v1.50/images/{name}?platforms={ARM}"), None);
    assert_eq!(deleted.status, 404);
    assert!(
        deleted.json()["message"]
            .as_str()
            .is_some_and(|m| m.contains("does not match the specified platform"))
    );
    e.ok(&["rmi", &name]);
    e.ok(&["load", "-i", file]);
    assert_eq!(
        e.ok(&["run", "--rm", "--platform", "linux/arm64", &name]),
        "arm64"
    );
    e.ok(&["rmi", &name]);
    std::fs::remove_file(saved).expect("removed");
}

#[test]
fn all_platforms_go_to_a_registry_and_come_back() {
    let e = Engine::start();
    if e.is_reference() {
        return;
    }
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let name = r.name("several:v1");
    let layout = Layout::new(&e, &name, "pushed");
    let pinned = |digest: &str| format!("{}@{digest}", r.name("several"));
    e.ok(&["load", "-i", layout.path()]);
    let pushed = e.ok(&["push", &name]);
    assert!(
        pushed.contains(&format!("v1: digest: {}", layout.index)),
        "{pushed}"
    );
    e.ok(&["rmi", &name]);
    e.ok(&["pull", &name]);
    assert_eq!(shown(&e, &name), all(false, true, true));
    e.ok(&["pull", "--platform", "linux/arm64", &name]);
    assert_eq!(shown(&e, &name), all(true, true, true));
    let digests = e.ok(&["image", "inspect", "-f", "{{json .RepoDigests}}", &name]);
    assert_eq!(digests, json!([pinned(&layout.index)]).to_string());
    assert_eq!(
        e.ok(&["run", "--rm", "--platform", "linux/arm64", &pinned(&layout.index)]),
        "arm64"
    );
    let again = e.ok(&["push", &name]);
    assert!(
        again.contains(&layout.index) && again.contains("Layer already exists"),
        "{again}"
    );

    // One platform of it goes as one image.
    let alone = r.name("alone:v1");
    e.ok(&["tag", &name, &alone]);
    let pushed = e.ok(&["push", "--platform", "linux/arm64", &alone]);
    assert!(pushed.contains(&layout.arm), "{pushed}");
    // What is here of an index goes alone if the rest is neither here nor there, and the index if it is there.
    e.ok(&["rmi", &name, &alone]);
    e.ok(&["pull", &name]);
    let pushed = e.ok(&["push", &name]);
    assert!(pushed.contains(&layout.index), "{pushed}");
    let other = r.name("other:v1");
    e.ok(&["tag", &name, &other]);
    let pushed = e.ok(&["push", &other]);
    assert!(pushed.contains(&layout.amd), "{pushed}");
    e.ok(&["rmi", &name, &other]);
}
