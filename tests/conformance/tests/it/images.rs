//! Images through the stock CLI: import, tag, list, inspect, save, load, remove, and a real registry where there is one.

use shoal_tests_conformance::{Engine, IMAGE};

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
