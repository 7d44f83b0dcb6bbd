//! Images go out and come back, through a real registry with and without TLS and passwords, and through another program
//! that reads and writes archives (skopeo): digests and DiffIDs stay.

use shoal_tests_conformance::Engine;
use shoal_tests_harness::{Guests, Registry, busybox_tar, run, run_ok};
use std::path::PathBuf;
use std::process::Command;

/// Gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(e: &Engine, what: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("{}-{what}", e.prefix));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What must not change: the image's id and its layers' DiffIDs.
pub fn identity(e: &Engine, name: &str) -> String {
    e.ok(&["image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", name])
}

/// Two layers, the second one made here.
fn make(e: &Engine, name: &str) {
    let base = format!("{name}-base");
    let tar = busybox_tar();
    e.ok(&[
        "import",
        "--message",
        &e.prefix,
        tar.to_str().expect("a path"),
        &base,
    ]);
    let container = e.ok(&["run", "-d", &base, "sh", "-c", "echo mine > /mine"]);
    e.ok(&["wait", &container]);
    e.ok(&["commit", &container, name]);
    e.ok(&["rm", &container]);
    e.ok(&["rmi", &base]);
}

pub fn digest(e: &Engine, name: &str) -> String {
    let all = e.ok(&["image", "inspect", "-f", "{{join .RepoDigests \" \"}}", name]);
    let first = all.split(' ').next().and_then(|one| one.split_once('@'));
    first.map(|(_, digest)| digest.to_owned()).unwrap_or_default()
}

/// Out by push, away, back by pull: the same, and again pushed the same.
fn through(e: &Engine, r: &Registry, docker: impl Fn(&[&str]) -> String) {
    let name = r.name("round/trip:v1");
    make(e, &name);
    let before = identity(e, &name);
    docker(&["push", &name]);
    let pushed = digest(e, &name);
    e.ok(&["rmi", &name]);
    docker(&["pull", &name]);
    assert_eq!(
        (identity(e, &name), digest(e, &name)),
        (before.clone(), pushed.clone())
    );
    assert_eq!(e.ok(&["run", "--rm", &name, "cat", "/mine"]), "mine");
    let again = docker(&["push", &name]);
    assert!(again.contains(&pushed), "{again}");
    e.ok(&["rmi", &name]);
    let pinned = format!("{}@{pushed}", r.name("round/trip"));
    docker(&["pull", &pinned]);
    assert_eq!(identity(e, &pinned), before);
    e.ok(&["rmi", &pinned]);
}

#[test]
fn through_a_registry() {
    let e = Engine::start();
    if let Some(r) = e.registry(Guests::Everybody) {
        through(&e, &r, |args| e.ok(args));
    }
}

#[test]
fn through_a_registry_with_tls_and_passwords() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    for guests in [Guests::Everybody, Guests::User] {
        let Some(r) = e.registry_with_tls(guests) else {
            return;
        };
        let folder = Folder::new(&e, "tls");
        let name = r.name("unknown:v1");
        let (code, _, err) = e.code(&["pull", &name]);
        assert!(
            code == 1 && err.contains("tls: failed to verify certificate"),
            "{err}"
        );
        let trusted = e.host().expect("our own").dir().join("certs.d").join(&r.host);
        std::fs::create_dir_all(&trusted).expect("a folder");
        std::fs::copy(r.authority(), trusted.join("ca.crt")).expect("a certificate");
        let own = |args: &[&str]| run_ok(e.command(args).env("DOCKER_CONFIG", &folder.0));
        if guests == Guests::User {
            let (code, _, err) = e.code(&["pull", &name]);
            assert!(code == 1 && err.contains("no basic auth credentials"), "{err}");
            own(&["login", "-u", "user", "-p", "secret", &r.host]);
        }
        through(&e, &r, own);
    }
}

/// skopeo as it runs where the engine is; `None` where it is not installed.
fn skopeo(e: &Engine) -> Option<impl Fn(&[&str]) -> String> {
    if !Command::new("skopeo")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        eprintln!("left out: no skopeo on this machine");
        return None;
    }
    Some(|args: &[&str]| run_ok(e.command_of("skopeo").arg("--insecure-policy").args(args)))
}

#[test]
fn archives_of_ours_and_of_skopeo_are_the_same_image() {
    let e = Engine::start();
    let Some(skopeo) = skopeo(&e) else { return };
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let folder = Folder::new(&e, "skopeo");
    let name = r.name("out:v1");
    make(&e, &name);
    let before = identity(&e, &name);
    let ours = folder.at("ours.tar");
    e.ok(&["save", "-o", &ours, &name]);
    // Both sides of what we save: Docker's table, and the layout.
    let by_table = format!("docker://{}", r.name("table:v1"));
    skopeo(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &format!("docker-archive:{ours}"),
        &by_table,
    ]);
    let by_layout = format!("docker://{}", r.name("layout:v1"));
    skopeo(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &format!("oci-archive:{ours}"),
        &by_layout,
    ]);
    e.ok(&["push", &name]);
    let pushed = digest(&e, &name);
    e.ok(&["rmi", &name]);
    for other in ["table:v1", "layout:v1"] {
        let other = r.name(other);
        e.ok(&["pull", &other]);
        assert_eq!(identity(&e, &other), before, "{other}");
        e.ok(&["rmi", &other]);
    }
    // And what it saves is the same here, by digest.
    let whole = format!("docker://{name}");
    for (kind, file) in [("oci-archive", "oci.tar"), ("docker-archive", "docker.tar")] {
        // An OCI layout without Docker's table is nothing to the reference.
        if kind == "oci-archive" && e.is_reference() {
            continue;
        }
        let file = folder.at(file);
        let to = format!("{kind}:{file}:{name}");
        skopeo(&["copy", "-q", "--src-tls-verify=false", &whole, &to]);
        let said = e.ok(&["load", "-i", &file]);
        assert_eq!(said, format!("Loaded image: {name}"), "{kind}");
        assert_eq!(identity(&e, &name), before, "{kind}");
        if kind == "oci-archive" {
            let again = e.ok(&["push", &name]);
            assert!(again.contains(&pushed), "{again}");
        }
        e.ok(&["rmi", &name]);
    }
    let out = run(e
        .command_of("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &whole]));
    assert!(out.status.success());
}
