//! Volumes and mounts.

use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn named_volumes_persist_and_are_filled_from_the_image() {
    let e = Engine::start();
    let volume = e.name("vol");
    assert_eq!(e.ok(&["volume", "create", "--label", "a=b", &volume]), volume);
    let at = format!("{volume}:/www");
    assert_eq!(
        e.sh(&["-v", &at], "cat /www/index.html; echo more > /www/more"),
        "hello"
    );
    assert_eq!(e.sh(&["-v", &at], "cat /www/more"), "more");
    assert!(e.ok(&["volume", "ls", "-q"]).lines().any(|l| l == volume));
    let path = e.ok(&["volume", "inspect", "-f", "{{.Mountpoint}}", &volume]);
    assert!(path.ends_with(&format!("/volumes/{volume}/_data")), "{path}");
    let name = e.name("holder");
    e.ok(&["create", "--name", &name, "-v", &at, IMAGE]);
    let (_, _, err) = e.code(&["volume", "rm", &volume]);
    assert!(err.contains("volume is in use"), "{err}");
    e.ok(&["rm", &name]);
    assert_eq!(e.ok(&["volume", "rm", &volume]), volume);
}

#[test]
fn bind_mounts_read_only_and_by_mount() {
    let e = Engine::start();
    // The reference engine runs in a root of its own: /tmp of that root serves both.
    if e.is_reference() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("{}-bind", e.prefix));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("f"), "host\n").unwrap();
    let d = dir.to_str().unwrap();
    assert_eq!(
        e.sh(
            &["-v", &format!("{d}:/in:ro")],
            "cat /in/f; touch /in/x 2>/dev/null || echo refused"
        ),
        "host\nrefused"
    );
    assert_eq!(
        e.sh(
            &["--mount", &format!("type=bind,src={d},dst=/in")],
            "echo new > /in/g; cat /in/g"
        ),
        "new"
    );
    assert_eq!(std::fs::read_to_string(dir.join("g")).unwrap(), "new\n");
    let (code, _, err) = e.code(&[
        "run",
        "--rm",
        "--mount",
        "type=bind,src=/no/such/dir,dst=/in",
        IMAGE,
        "true",
    ]);
    assert_eq!(code, 125);
    assert!(
        err.contains("bind source path does not exist: /no/such/dir"),
        "{err}"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn anonymous_volumes_go_with_their_container() {
    let e = Engine::start();
    let before = e.ok(&["volume", "ls", "-q"]).lines().count();
    e.sh(&["-v", "/data"], "touch /data/x");
    let name = e.name("anon");
    e.ok(&["create", "--name", &name, "-v", "/data", IMAGE]);
    e.ok(&["rm", "-v", &name]);
    if !e.is_reference() {
        assert_eq!(e.ok(&["volume", "ls", "-q"]).lines().count(), before);
    }
}

#[test]
fn tmpfs_and_volume_mounts() {
    let e = Engine::start();
    let volume = e.name("mnt");
    let out = e.sh(
        &[
            "--mount",
            "type=tmpfs,dst=/t,tmpfs-size=1048576",
            "--mount",
            &format!("type=volume,src={volume},dst=/v"),
        ],
        "grep -c ' /t tmpfs ' /proc/mounts; echo x > /v/x; cat /v/x",
    );
    assert_eq!(out, "1\nx");
    e.ok(&["volume", "rm", &volume]);
}
