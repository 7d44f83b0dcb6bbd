//! Images through the stock CLI: import, tag, list, inspect, save, load, remove, and a real registry where there is one.

use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::busybox_tar;

#[test]
fn tag_list_inspect_and_remove() {
    let e = Engine::start();
    let tag = format!("{}/other:v1", e.prefix);
    e.ok(&["tag", IMAGE, &tag]);
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &tag]);
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(e.ok(&["images", "-q", "--no-trunc", &tag]), id);
    assert!(
        e.ok(&["inspect", "-f", "{{.Config.Env}}", IMAGE])
            .contains("FROM_IMAGE=yes")
    );
    assert_eq!(e.ok(&["rmi", &tag]), format!("Untagged: {tag}"));
    let (_, _, err) = e.code(&["rmi", &tag]);
    assert!(err.contains(&format!("No such image: {tag}")), "{err}");
}

#[test]
fn an_image_in_use_is_kept() {
    let e = Engine::start();
    let tag = format!("{}/used:v1", e.prefix);
    let tar = shoal_tests_harness::busybox_tar();
    e.ok(&[
        "import",
        "--message",
        "mine",
        "--change",
        "CMD [\"true\"]",
        tar.to_str().unwrap(),
        &tag,
    ]);
    let name = e.name("user");
    e.ok(&["create", "--name", &name, &tag]);
    let (_, _, err) = e.code(&["rmi", &tag]);
    assert!(err.contains("conflict: unable to"), "{err}");
    assert!(
        err.contains("must force") || err.contains("must be forced"),
        "{err}"
    );
    e.ok(&["rm", &name]);
    let out = e.ok(&["rmi", &tag]);
    assert!(
        out.contains(&format!("Untagged: {tag}")) && out.contains("Deleted: sha256:"),
        "{out}"
    );
}

#[test]
fn save_and_load_keep_the_image() {
    let e = Engine::start();
    let tag = format!("{}/saved:v1", e.prefix);
    let file = std::env::temp_dir().join(format!("{}-save.tar", e.prefix));
    let tar = shoal_tests_harness::busybox_tar();
    e.ok(&["import", "--message", &e.prefix, tar.to_str().unwrap(), &tag]);
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &tag]);
    e.ok(&["save", "-o", file.to_str().unwrap(), &tag]);
    e.ok(&["rmi", &tag]);
    let out = e.ok(&["load", "-i", file.to_str().unwrap()]);
    assert_eq!(out, format!("Loaded image: {tag}"));
    assert_eq!(e.ok(&["inspect", "-f", "{{.Id}}", &tag]), id);
    assert_eq!(e.ok(&["run", "--rm", &tag, "cat", "/www/index.html"]), "hello");
    e.ok(&["rmi", &tag]);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_commit_knows_what_it_was_made_on() {
    let e = Engine::start();
    let (base, child) = (format!("{}/base:v1", e.prefix), format!("{}/child:v1", e.prefix));
    let tar = shoal_tests_harness::busybox_tar();
    let parent = e.ok(&["import", "--message", &e.prefix, tar.to_str().unwrap(), &base]);
    let container = e.ok(&["create", &base, "true"]);
    let id = e.ok(&["commit", "--message", "mine", &container, &child]);
    e.ok(&["rm", &container]);
    assert_eq!(e.ok(&["inspect", "-f", "{{.Parent}}", &child]), parent);
    assert_eq!(e.ok(&["inspect", "-f", "{{.Parent}}", &base]), "");
    let steps = e.ok(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.Comment}}",
        &child,
    ]);
    assert_eq!(steps, format!("{id} mine\n{parent} {}", e.prefix));
    // Containers of what was made on an image are its descendants.
    let below = e.ok(&["create", &child, "true"]);
    let found = e.ok(&["ps", "-aq", "--no-trunc", "--filter", &format!("ancestor={base}")]);
    assert_eq!(found, below);
    e.ok(&["rm", &below]);
    e.ok(&["rmi", &child]);
    e.ok(&["rmi", &base]);
}

#[test]
fn lists_are_filtered() {
    let e = Engine::start();
    let name = |n: &str| format!("{}/filtered:{n}", e.prefix);
    let tar = shoal_tests_harness::busybox_tar();
    for (n, label) in [("one", "kind=a"), ("two", "kind=b"), ("three", "other")] {
        let change = format!(
            "LABEL {}",
            if label.contains('=') {
                label.to_owned()
            } else {
                format!("{label}=x")
            }
        );
        e.ok(&[
            "import",
            "--change",
            &change,
            "--message",
            n,
            tar.to_str().unwrap(),
            &name(n),
        ]);
    }
    let own = format!("reference={}/filtered:*", e.prefix);
    let list = |filters: &[&str]| {
        let mut args = vec!["images", "--format", "{{.Tag}}", "--filter", &own];
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        let out = e.ok(&args);
        let mut tags: Vec<String> = out.lines().map(str::to_owned).collect();
        tags.sort();
        tags.join(" ")
    };
    assert_eq!(list(&[]), "one three two");
    assert_eq!(list(&["label=kind"]), "one two");
    assert_eq!(list(&["label=kind=b"]), "two");
    assert_eq!(list(&["label=kind", "label=other"]), "");
    // Made within one second: the order is theirs all the same.
    let (since, before) = (
        format!("since={}", name("one")),
        format!("before={}", name("three")),
    );
    assert_eq!(list(&[&since]), "three two");
    assert_eq!(list(&[&before]), "one two");
    assert_eq!(list(&[&since, &before]), "two");
    assert_eq!(list(&["until=1h"]), "");
    assert_eq!(list(&["dangling=true"]), "");
    assert_eq!(list(&["dangling=false"]), "one three two");
    let of = |reference: &str| {
        let filter = format!("reference={reference}");
        let out = e.ok(&["images", "--format", "{{.Tag}}", "--filter", &filter]);
        let mut tags: Vec<String> = out.lines().map(str::to_owned).collect();
        tags.sort();
        tags.join(" ")
    };
    assert_eq!(of(&format!("{}/filt*", e.prefix)), "one three two");
    e.ok(&["rmi", &name("one"), &name("two"), &name("three")]);
}

#[test]
fn an_image_is_imported_from_a_url() {
    let e = Engine::start();
    let tar = busybox_tar();
    let web = e.files(tar.parent().expect("a folder"));
    let file = tar.file_name().and_then(|name| name.to_str()).expect("a name");
    let url = format!("http://127.0.0.1:{}/{file}", web.port);
    let name = format!("{}-url:1", e.prefix);
    let said = e.ok(&["import", "--change", "CMD [\"true\"]", &url, &name]);
    assert!(said.contains(&format!("Downloading from {url}")), "{said}");
    let about = e.ok(&[
        "image",
        "inspect",
        "-f",
        "{{.Comment}} {{json .Config.Cmd}}",
        &name,
    ]);
    assert_eq!(about, format!("Imported from {url} [\"true\"]"));
    assert_eq!(e.ok(&["run", "--rm", &name, "cat", "/www/index.html"]), "hello");
    e.ok(&["rmi", &name]);

    // Without a scheme it is http, which only the API can be asked for: the CLI takes that for a file.
    let escape = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
    let ask = |source: &str| {
        let path = format!(
            "/images/create?fromSrc={}&repo={}-url&tag=2",
            escape(source),
            e.prefix
        );
        let answer = e.api("POST", &path, None);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let (status, said) = ask(url.trim_start_matches("http://"));
    assert!(
        status == 200 && said.contains(&format!("Downloading from {url}")),
        "{said}"
    );
    e.ok(&["rmi", &format!("{}-url:2", e.prefix)]);
    let (status, said) = ask(&format!("{url}.no"));
    let refused = format!("failed to GET {url}.no with status 404 File not found: ");
    assert!(status == 404 && said.contains(&refused), "{status} {said}");
    let (status, said) = ask("http://127.0.0.1:1/x");
    let refused = r#"Get \"http://127.0.0.1:1/x\": dial tcp 127.0.0.1:1: connect: connection refused"#;
    assert!(status == 500 && said.contains(refused), "{status} {said}");
    let (status, said) = ask("ftp://127.0.0.1/x");
    assert!(
        status == 500 && said.contains("unsupported protocol scheme"),
        "{status} {said}"
    );
}
