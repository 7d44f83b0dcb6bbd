//! What a container changed, and its root as a tar.

use super::*;

/// What the case changes in a container, and how Docker says it.
const CHANGE: &str = "mkdir -p /d/sub; echo x >/d/sub/f; rm /etc/group; echo hi >> /etc/passwd; chmod 700 /home; \
     rm -rf /www; mkdir /www; echo n >/www/n; mv /bin/ls /bin/ls2; mkdir /tmp/a; touch /tmp/a/b; rm -r /tmp/a; \
     ln -s x /lnk; mkfifo /ff; echo v >/data/vol/v";
const CHANGES: [&str; 16] = [
    "A /bin/ls2",
    "A /d",
    "A /d/sub",
    "A /d/sub/f",
    "A /data",
    "A /data/vol",
    "A /ff",
    "A /lnk",
    "A /www/n",
    "C /bin",
    "C /etc",
    "C /etc/passwd",
    "C /home",
    "C /www",
    "D /bin/ls",
    "D /etc/group",
];

#[test]
fn changes_are_those_of_the_container_itself() {
    let e = Engine::start();
    let c = Container::run(&e, "diff", &["-v", "/data/vol"], CHANGE);
    let mut expected: Vec<&str> = CHANGES.to_vec();
    expected.push("D /www/index.html");
    // dockerd's order is that of a hash table.
    let listed = || {
        let text = e.ok(&["diff", &c.name]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(listed(), expected);
    e.ok(&["stop", "-t", "0", &c.name]);
    assert_eq!(listed(), expected, "the same when it has stopped");
    let answer = e.api("GET", &format!("/containers/{}/changes", c.name), None);
    assert!(
        answer
            .json()
            .as_array()
            .unwrap()
            .contains(&json!({"Path": "/etc/group", "Kind": 2}))
    );
    let fresh = Container::make(&e, "fresh", &[], "true");
    let none = e.api("GET", &format!("/containers/{}/changes", fresh.name), None);
    assert_eq!((none.status, none.text().trim()), (200, "null"));
    assert_eq!(e.ok(&["diff", &fresh.name]), "");
    assert_eq!(e.api("GET", "/containers/nobody-here/changes", None).status, 404);
}

#[test]
fn an_export_is_the_root_without_what_is_mounted() {
    let e = Engine::start();
    let c = Container::run(&e, "export", &["-v", "/data/vol"], CHANGE);
    let export = || {
        let answer = e.api("GET", &format!("/containers/{}/export", c.name), None);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        let mut lines = list(&answer.body);
        lines.retain(|l| !l.contains(" bin/"));
        lines
    };
    let running = export();
    for line in [
        "d755 0/0 0 d/",
        "-644 0/0 2 d/sub/f",
        "d755 0/0 0 data/vol/",
        "d755 1000/1000 0 home/app/",
        "d700 0/0 0 home/",
        "l777 0/0 0 lnk -> x",
        "p644 0/0 0 ff",
        "d755 0/0 0 proc/",
        "d755 0/0 0 dev/",
        "-644 0/0 2 www/n",
        "-644 0/0 71 etc/passwd",
    ] {
        assert!(running.contains(&line.to_owned()), "{line}: {running:#?}");
    }
    for gone in ["data/vol/v", "etc/group", "dev/null", "www/index.html"] {
        assert!(!running.iter().any(|l| l.ends_with(gone)), "{gone}");
    }
    let hosts = running
        .iter()
        .find(|l| l.ends_with(" etc/hosts"))
        .expect("its place");
    assert_eq!(
        hosts.split(' ').nth(2),
        Some("0"),
        "what the engine mounts there is not part of it"
    );
    e.ok(&["stop", "-t", "0", &c.name]);
    assert_eq!(export(), running);
    let file = std::env::temp_dir().join(format!("{}.tar", c.name));
    e.ok(&["export", "-o", &file.display().to_string(), &c.name]);
    let image = e.name("exported");
    e.ok(&["import", &file.display().to_string(), &image]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        e.ok(&["run", "--rm", &image, "cat", "/d/sub/f", "/www/n"]),
        "x\nn"
    );
    e.ok(&["rmi", &image]);
}
