//! `--link` on the default bridge: hosts, environment and names.

use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn a_linked_container_knows_the_other_by_its_hosts_and_its_environment() {
    let e = Engine::start();
    let (db, web) = (e.name("db"), e.name("web"));
    let sleep = ["sleep", "1000"];
    let run = |options: &[&str], name: &str| {
        let mut args = vec!["run", "-d", "--stop-signal", "KILL", "--name", name];
        args.extend(options);
        args.push(IMAGE);
        args.extend(sleep);
        e.ok(&args)
    };
    let id = run(
        &[
            "-e",
            "SECRET=a=b",
            "-e",
            "PATH=/bin",
            "--expose",
            "80-81",
            "--expose",
            "53/udp",
        ],
        &db,
    );
    let link = format!("{db}:my-db");
    let other = run(&["--link", &link, "-e", "OWN=1"], &web);
    let address = |name: &str| {
        e.ok(&[
            "inspect",
            "-f",
            "{{.NetworkSettings.Networks.bridge.IPAddress}}",
            name,
        ])
    };
    let at = address(&db);
    let mut env: Vec<String> = e
        .ok(&["exec", &web, "env"])
        .lines()
        .filter(|v| v.starts_with("MY_DB"))
        .map(String::from)
        .collect();
    env.sort();
    let want = [
        "MY_DB_ENV_FROM_IMAGE=yes".to_owned(),
        "MY_DB_ENV_SECRET=a=b".to_owned(),
        format!("MY_DB_NAME=/{web}/my-db"),
        format!("MY_DB_PORT=tcp://{at}:80"),
        format!("MY_DB_PORT_53_UDP=udp://{at}:53"),
        format!("MY_DB_PORT_53_UDP_ADDR={at}"),
        "MY_DB_PORT_53_UDP_PORT=53".to_owned(),
        "MY_DB_PORT_53_UDP_PROTO=udp".to_owned(),
        format!("MY_DB_PORT_80_TCP=tcp://{at}:80"),
        format!("MY_DB_PORT_80_TCP_ADDR={at}"),
        format!("MY_DB_PORT_80_TCP_END=tcp://{at}:81"),
        "MY_DB_PORT_80_TCP_PORT=80".to_owned(),
        "MY_DB_PORT_80_TCP_PORT_END=81".to_owned(),
        "MY_DB_PORT_80_TCP_PORT_START=80".to_owned(),
        "MY_DB_PORT_80_TCP_PROTO=tcp".to_owned(),
        format!("MY_DB_PORT_80_TCP_START=tcp://{at}:80"),
        format!("MY_DB_PORT_81_TCP=tcp://{at}:81"),
        format!("MY_DB_PORT_81_TCP_ADDR={at}"),
        "MY_DB_PORT_81_TCP_PORT=81".to_owned(),
        "MY_DB_PORT_81_TCP_PROTO=tcp".to_owned(),
    ];
    assert_eq!(env, want);
    assert_eq!(
        e.ok(&[
            "exec",
            &web,
            "sh",
            "-c",
            "tr '\\0' '\\n' </proc/1/environ | grep ^OWN"
        ]),
        "OWN=1"
    );
    let line = || {
        let hosts = e.ok(&["exec", &web, "cat", "/etc/hosts"]);
        let found = hosts.lines().find(|l| l.contains("my-db"));
        found
            .unwrap_or_default()
            .split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(line(), [at.as_str(), "my-db", &id[..12], &db]);
    assert_eq!(
        e.ok(&["inspect", "-f", "{{json .HostConfig.Links}}", &web]),
        format!("[\"/{db}:/{web}/my-db\"]")
    );
    let listed = e.ok(&[
        "ps",
        "--no-trunc",
        "--filter",
        &format!("id={id}"),
        "--format",
        "{{.Names}}",
    ]);
    let mut names: Vec<&str> = listed.split(',').collect();
    names.sort_unstable();
    let mut all = [db.clone(), format!("{web}/my-db")];
    all.sort();
    assert_eq!(names, all);
    // The other comes back at another address, under another name.
    e.ok(&["stop", &db]);
    let between = run(&[], &e.name("between"));
    e.ok(&["start", &db]);
    assert_ne!(address(&db), at);
    assert_eq!(line()[..2], [address(&db), "my-db".into()]);
    let renamed = e.name("renamed");
    e.ok(&["rename", &db, &renamed]);
    e.ok(&["restart", &web]);
    assert_eq!(line()[..2], [address(&renamed), "my-db".into()]);
    e.ok(&["kill", &web, &renamed]);
    let (code, _, err) = e.code(&["start", &web]);
    let want = format!("Cannot link to a non running container: /{renamed} AS /{web}/my-db");
    assert!(code != 0 && err.contains(&want), "{err}");
    e.ok(&["rm", "-f", &other, &renamed, &between]);
}

#[test]
fn links_that_cannot_be() {
    let e = Engine::start();
    let host = e.name("host");
    e.ok(&["create", "--name", &host, "--network", "host", IMAGE, "true"]);
    let nobody = e.name("nobody");
    for (options, want) in [
        (
            vec!["--link", &*host],
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
                .to_owned(),
        ),
        (
            vec!["--network", "host", "--link", &*host],
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
                .to_owned(),
        ),
        (
            vec!["--link", &*nobody],
            format!("could not get container for {nobody}: No such container: {nobody}"),
        ),
    ] {
        let mut args = vec!["create"];
        args.extend(&options);
        args.extend([IMAGE, "true"]);
        let (code, _, err) = e.code(&args);
        assert!(code != 0 && err.contains(&want), "{options:?}: {err}");
    }
    e.ok(&["rm", &host]);
}

#[test]
fn a_link_is_found_by_its_name_and_taken_away() {
    let e = Engine::start();
    let (db, web) = (e.name("db"), e.name("web"));
    let id = e.ok(&["run", "-d", "--name", &db, IMAGE, "sleep", "1000"]);
    let link = format!("{db}:my-db");
    e.ok(&[
        "run", "-d", "--name", &web, "--link", &link, IMAGE, "sleep", "1000",
    ]);
    let (whole, nothing) = (format!("{web}/my-db"), format!("{web}/other"));
    assert_eq!(e.ok(&["inspect", "-f", "{{.Id}}", &whole]), id);
    assert_eq!(e.ok(&["exec", &whole, "cat", "/etc/hostname"]), id[..12]);
    let refused = |args: &[&str], want: &str| {
        let (code, _, err) = e.code(args);
        let text = format!("Error response from daemon: {want}");
        assert_eq!((code, err), (1, text), "{args:?}");
    };
    let own = "Conflict, cannot remove the default link name of the container";
    refused(&["rm", "--link", &web], own);
    refused(
        &["rm", "--link", &nothing],
        &format!("No such container: {nothing}"),
    );
    assert_eq!(e.ok(&["rm", "--link", &whole]), whole);
    refused(&["rm", "--link", &whole], &format!("No such container: {whole}"));
    refused(&["logs", &whole], &format!("No such container: {whole}"));
    assert!(!e.ok(&["exec", &web, "cat", "/etc/hosts"]).contains("my-db"));
    assert_eq!(e.ok(&["inspect", "-f", "{{.HostConfig.Links}}", &web]), "[]");
    let names = ["ps", "--no-trunc", "--format", "{{.Names}}", "--filter"];
    let of_db = format!("id={id}");
    assert_eq!(e.ok(&[&names[..], &[&of_db]].concat()), db);
    // Once it starts again its environment does not tell either, and it needs the other no more.
    e.ok(&["kill", &web, &db]);
    e.ok(&["start", &web]);
    assert!(!e.ok(&["exec", &web, "env"]).contains("MY_DB"));
    e.ok(&["rm", "-f", &web, &db]);
}
