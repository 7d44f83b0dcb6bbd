//! `docker commit`: an image from what a container changed.

use serde_json::json;
use shoal_tests_conformance::{Engine, IMAGE};

fn made(e: &Engine, what: &str, options: &[&str], script: &str) -> String {
    let name = e.name(what);
    let mut args = vec!["run", "--name", &name];
    args.extend(options);
    args.extend([IMAGE, "sh", "-c", script]);
    e.ok(&args);
    name
}

#[test]
fn changes_deletions_and_modes_are_in_the_image() {
    let e = Engine::start();
    let name = made(
        &e,
        "commit",
        &["-v", "/vol"],
        "mkdir /d; echo x > /d/f; ln /d/f /d/h; rm /etc/group; rm -rf /www; mkdir /www; echo n > /www/n; chmod 4755 /d/f; \
         chown 7:8 /d; ln -s f /d/l; mkfifo /d/p; echo v > /vol/v; mv /bin/ls /bin/ls2",
    );
    let image = e.name("img");
    let id = e.ok(&["commit", "-a", "me", "-m", "why", &name, &format!("{image}:one")]);
    assert_eq!(
        e.ok(&["image", "inspect", "-f", "{{.Id}}", &format!("{image}:one")]),
        id
    );
    assert_eq!(
        e.ok(&[
            "run", "--rm", &id, "sh", "-c",
            "cat /d/f; stat -c '%a %h' /d/f; stat -c %u:%g /d; readlink /d/l; stat -c %F /d/p; find /www /vol; for f in /etc/group /bin/ls; do test -e $f || echo no $f; done"
        ]),
        "x\n4755 2\n7:8\nf\nfifo\n/www\n/www/n\n/vol\nno /etc/group\nno /bin/ls"
    );
    let show = |format: &str| e.ok(&["image", "inspect", "-f", format, &id]);
    assert_eq!(
        show("{{.Author}} {{.Comment}} {{.Os}} {{len .RootFS.Layers}}"),
        "me why linux 2"
    );
    let parent = e.ok(&["image", "inspect", "-f", "{{index .RootFS.Layers 0}}", IMAGE]);
    assert_eq!(
        show("{{index .RootFS.Layers 0}}"),
        parent,
        "the parent's layers are kept"
    );
    assert_eq!(
        show("{{json .Config.Env}} {{json .Config.Volumes}}"),
        "[\"FROM_IMAGE=yes\"] {\"/vol\":{}}"
    );
    let history = e.ok(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}|{{.Comment}}",
        &id,
    ]);
    let lines: Vec<&str> = history.lines().collect();
    assert!(
        lines[0].starts_with("sh -c mkdir /d;") && lines[0].ends_with("|why"),
        "{history}"
    );
    assert_eq!(lines.len(), 2);
    // On top of itself, and saved and loaded.
    let again = e.name("again");
    e.ok(&[
        "run",
        "--name",
        &again,
        &id,
        "sh",
        "-c",
        "rm -r /d; echo 2 > /two",
    ]);
    let second = e.ok(&["commit", &again, &format!("{image}:two")]);
    let file = std::env::temp_dir().join(format!("{image}.tar"));
    e.ok(&["save", "-o", &file.display().to_string(), &format!("{image}:two")]);
    e.ok(&["rm", &again, &name, "-v"]);
    e.ok(&["rmi", &format!("{image}:two"), &format!("{image}:one")]);
    e.ok(&["load", "-q", "-i", &file.display().to_string()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        e.ok(&[
            "run",
            "--rm",
            &second,
            "sh",
            "-c",
            "cat /two /www/n; test -e /d || echo gone"
        ]),
        "2\nn\ngone"
    );
    e.ok(&["rmi", &format!("{image}:two")]);
}

#[test]
fn the_configuration_is_the_container_s_with_the_changes() {
    let e = Engine::start();
    let name = made(
        &e,
        "conf",
        &["-e", "A=1", "--label", "l=1", "-w", "/www", "-u", "app"],
        "true",
    );
    let image = e.name("confimg");
    e.ok(&[
        "commit",
        "-c",
        "ENV B=2 FROM_IMAGE=no",
        "-c",
        "CMD [\"cat\",\"/x\"]",
        "--change",
        "EXPOSE 80",
        "-c",
        "LABEL m=2",
        "-c",
        "USER root",
        "-c",
        "WORKDIR /tmp",
        "-c",
        "VOLUME /data",
        "-c",
        "STOPSIGNAL SIGINT",
        "-c",
        "HEALTHCHECK NONE",
        "-c",
        "ENTRYPOINT [\"env\"]",
        &name,
        &image,
    ]);
    let config: serde_json::Value =
        serde_json::from_str(&e.ok(&["image", "inspect", "-f", "{{json .Config}}", &image])).unwrap();
    assert_eq!(
        (
            &config["Env"],
            &config["Cmd"],
            &config["ExposedPorts"],
            &config["Labels"],
            &config["User"],
            &config["WorkingDir"]
        ),
        (
            &json!(["A=1", "FROM_IMAGE=no", "B=2"]),
            &json!(["cat", "/x"]),
            &json!({"80/tcp": {}}),
            &json!({"l": "1", "m": "2"}),
            &json!("root"),
            &json!("/tmp")
        )
    );
    assert_eq!(
        (
            &config["Volumes"],
            &config["StopSignal"],
            &config["Healthcheck"],
            &config["Entrypoint"]
        ),
        (
            &json!({"/data": {}}),
            &json!("SIGINT"),
            &json!({"Test": ["NONE"]}),
            &json!(["env"])
        )
    );
    // A body says what is to be instead; the rest comes from the container.
    let body = json!({"Cmd": ["a", "b"], "Env": ["X=1"], "Labels": {"n": "3"}});
    let answer = e.api(
        "POST",
        &format!("/commit?container={name}&repo={image}&tag=body"),
        Some(&body),
    );
    assert_eq!(answer.status, 201);
    let shown = e.ok(&[
        "image",
        "inspect",
        "-f",
        "{{json .Config.Cmd}} {{json .Config.Env}} {{json .Config.Labels}} {{.Config.WorkingDir}}",
        &format!("{image}:body"),
    ]);
    assert_eq!(
        shown,
        "[\"a\",\"b\"] [\"X=1\",\"A=1\",\"FROM_IMAGE=yes\"] {\"l\":\"1\",\"n\":\"3\"} /www"
    );
    e.ok(&["rm", &name]);
    e.ok(&["rmi", &image, &format!("{image}:body")]);
}

#[test]
fn refusals() {
    let e = Engine::start();
    let name = made(&e, "refused", &[], "true");
    for (query, status, words) in [
        (
            "container=nobody-here".to_owned(),
            404,
            "No such container: nobody-here",
        ),
        (
            format!("container={name}&repo=UPPER"),
            400,
            "repository name (library/UPPER) must be lowercase",
        ),
        (
            format!("container={name}&repo=x&changes=RUN%20x"),
            400,
            "RUN is not a valid change command",
        ),
        (
            format!("container={name}&repo=x&changes=NOPE%20x"),
            400,
            "NOPE is not a valid change command",
        ),
    ] {
        let answer = e.api("POST", &format!("/commit?{query}"), None);
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.message().contains(words), "{query}: {}", answer.message());
    }
    e.ok(&["rm", &name]);
}

#[test]
fn a_running_container_is_paused_meanwhile() {
    let e = Engine::start();
    let name = e.name("paused");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    let since = e.ok(&["info", "-f", "{{.SystemTime}}"]);
    let first = e.ok(&["commit", &name]);
    let second = e.ok(&["commit", "--pause=false", &name]);
    assert_ne!(first, second, "their times differ");
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &name]), "running");
    let until = e.ok(&["info", "-f", "{{.SystemTime}}"]);
    let events = e.ok(&[
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        &format!("container={name}"),
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(
        events.lines().collect::<Vec<_>>(),
        ["pause", "commit", "unpause", "commit"]
    );
    // Nothing was changed: no layer more than the parent's.
    let layers = |image: &str| e.ok(&["image", "inspect", "-f", "{{len .RootFS.Layers}}", image]);
    assert_eq!(layers(&first), "1");
    e.ok(&["rm", "-f", &name]);
    e.ok(&["rmi", &first, &second]);
}
