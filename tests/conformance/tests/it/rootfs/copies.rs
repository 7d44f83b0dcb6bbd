//! `docker cp`, and the same files looked at in other ways.

use super::*;

#[test]
fn a_stopped_container_is_read_and_written_like_a_running_one() {
    let e = Engine::start();
    let c = Container::make(&e, "stopped", &["-v", "/vol"], "cat /t/f /vol/f; ls /run/made");
    assert_eq!(c.stat("/vol").1["mode"], json!(2147484141u64));
    let file = tar(json!([{"n": "f", "d": "one"}]));
    let dir = tar(json!([{"n": "t/f", "d": "two"}, {"n": "run/made", "t": "d"}]));
    assert_eq!(c.put("/vol", &file).0, 200);
    assert_eq!(c.put("/", &dir).0, 200);
    assert_eq!(c.put("/nope", &file).0, 404);
    assert_eq!(c.listed("/t"), ["d755 0/0 0 t/", "-644 0/0 3 t/f"]);
    assert_eq!(c.listed("/vol"), ["d755 0/0 0 vol/", "-644 0/0 3 vol/f"]);
    assert_eq!(e.ok(&["start", "-a", &c.name]), "twoone");
    assert_eq!(c.listed("/vol/f"), ["-644 0/0 3 f"]);
    assert_eq!(c.stat("/etc/hosts").0, 200);
    if !e.is_reference() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            !mounts.contains(&e.ok(&["inspect", "-f", "{{.Id}}", &c.name])),
            "nothing is mounted where the host sees it"
        );
    }
}

#[test]
fn each_way_of_looking_is_an_event() {
    let e = Engine::start();
    let since = e.ok(&["info", "-f", "{{.SystemTime}}"]);
    let c = Container::make(&e, "events", &["--label", "l=1"], "true");
    let file = tar(json!([{"n": "f", "d": "one"}]));
    c.put("/", &file);
    c.get("/f");
    c.stat("/f");
    e.api("GET", &format!("/containers/{}/export", c.name), None);
    e.ok(&["diff", &c.name]);
    let image = e.name("evimg");
    e.ok(&["commit", "-m", "why", &c.name, &image]);
    let until = e.ok(&["info", "-f", "{{.SystemTime}}"]);
    let text = e.ok(&[
        "events", "--since", &since, "--until", &until, "--filter", &format!("container={}", c.name),
        "--format", "{{.Action}} {{.Actor.Attributes.l}} {{.Actor.Attributes.image}} {{.Actor.Attributes.imageRef}} {{.Actor.Attributes.comment}}",
    ]);
    let nothing = "<no value> <no value>";
    let line = |action: &str| format!("{action} 1 {IMAGE} {nothing}");
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            line("create"),
            line("extract-to-dir"),
            line("archive-path"),
            line("export"),
            format!("commit 1 {IMAGE} {image}:latest why"),
        ]
    );
    e.ok(&["rmi", &image]);
}

#[test]
fn the_stock_cp_both_ways() {
    let e = Engine::start();
    let c = Container::run(
        &e,
        "cp",
        &[],
        "mkdir -p /d/sub; echo in > /d/sub/f; ln -s /d /ld; ln -s sub/f /d/lf; touch /tmp/plain",
    );
    let dir = std::env::temp_dir().join(e.name("cpdir"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("src/deep")).unwrap();
    std::fs::write(dir.join("src/deep/f"), "out").unwrap();
    std::fs::write(dir.join("one"), "one").unwrap();
    std::os::unix::fs::symlink("src/deep/f", dir.join("link")).unwrap();
    let here = |path: &str| dir.join(path).display().to_string();
    let there = |path: &str| format!("{}:{path}", c.name);
    let cp = |args: &[&str]| e.code(&[&["cp"], args].concat());
    // In: into a directory, under a new name, what a directory holds, through a link.
    for (source, target) in [
        (here("one"), there("/tmp")),
        (here("one"), there("/tmp/two")),
        (here("src"), there("/tmp/new")),
        (here("src/."), there("/tmp")),
        (here("src"), there("/ld")),
        (here("one"), there("/d/lf")),
    ] {
        assert_eq!(
            cp(&[&source, &target]),
            (0, String::new(), String::new()),
            "{source} {target}"
        );
    }
    assert_eq!(cp(&["-L", &here("link"), &there("/tmp/followed")]).0, 0);
    assert_eq!(cp(&["-a", &here("link"), &there("/tmp/kept")]).0, 0);
    assert_eq!(
        c.sh("cd /tmp; cat one two new/deep/f deep/f followed; readlink kept; cat /d/src/deep/f /d/sub/f"),
        "oneoneoutoutoutsrc/deep/f\noutone"
    );
    // Out.
    for (source, target) in [
        (there("/d"), here("got")),
        (there("/d/."), here("src")),
        (there("/d/lf"), here("lf")),
        (there("/ld/"), here("ldir")),
        (there("/tmp/two"), here("one")),
    ] {
        assert_eq!(cp(&[&source, &target]).0, 0, "{source} {target}");
    }
    assert_eq!(cp(&["-L", &there("/d/lf"), &here("followed")]).0, 0);
    let read = |path: &str| std::fs::read_to_string(dir.join(path)).unwrap();
    assert_eq!(
        (read("got/sub/f"), read("src/sub/f"), read("followed")),
        ("one".into(), "one".into(), "one".into())
    );
    assert_eq!(
        std::fs::read_link(dir.join("lf")).unwrap().display().to_string(),
        "sub/f"
    );
    assert_eq!(read("ldir/sub/f"), "one");
    // Refusals.
    for (source, target, words) in [
        (
            there("/nope"),
            here("x"),
            format!("Could not find the file /nope in container {}", c.name),
        ),
        (there("/d"), here("one"), "cannot copy directory".into()),
        (here("src"), there("/tmp/plain"), "cannot copy directory".into()),
        (here("one"), there("/tmp/no/"), "no such directory".into()),
        (
            here("one"),
            there("/no/such/place"),
            format!("Could not find the file /no/such in container {}", c.name),
        ),
        (there("/d"), here("no/such/place"), "does not exist".into()),
        (here("nope"), there("/tmp"), "no such file or directory".into()),
        (
            there("/d"),
            there("/d"),
            "copying between containers is not supported".into(),
        ),
    ] {
        let (code, _, err) = cp(&[&source, &target]);
        assert_eq!(code, 1, "{source} {target}");
        assert!(err.contains(&words), "{source} {target}: {err}");
    }
    // Streams.
    let out = e.docker(&["cp", &there("/d/sub"), "-"]);
    assert_eq!(list(&out.stdout), ["d755 0/0 0 sub/", "-644 0/0 3 sub/f"]);
    let mut child = e
        .command(&["cp", "-", &there("/tmp")])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &out.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(c.sh("cat /tmp/sub/f"), "one");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn ten_thousand_files_go_in_and_come_out() {
    let e = Engine::start();
    let c = Container::run(&e, "many", &[], "mkdir /t");
    let files: Vec<Value> = (0..10_000)
        .map(|n| json!({"n": format!("m/{}/f{n}", n % 100), "d": "x"}))
        .collect();
    assert_eq!(c.put("/t", &tar(Value::Array(files))), (200, String::new()));
    assert_eq!(c.sh("find /t -type f | wc -l"), "10000");
    let listed = c.listed("/t/m");
    assert_eq!(listed.len(), 10_101);
    assert_eq!(
        &listed[..3],
        ["d755 0/0 0 m/", "d755 0/0 0 m/0/", "-644 0/0 1 m/0/f0"]
    );
    // Who stops reading ends the work.
    for _ in 0..5 {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(e.socket()).unwrap();
        write!(stream, "GET {} HTTP/1.1\r\nHost: d\r\n\r\n", c.url("/t")).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    assert_eq!(c.stat("/t").0, 200);
}

#[test]
fn what_is_mounted_is_told_to_old_programs_too() {
    let e = Engine::start();
    assert_eq!(
        e.sh(&[], "readlink /etc/mtab; grep -c ' /proc ' /etc/mtab"),
        "/proc/mounts\n1"
    );
    let name = e.name("mtab");
    e.ok(&["run", "--name", &name, IMAGE, "true"]);
    assert_eq!(e.ok(&["diff", &name]), "");
    let out = run(&mut e.command(&["export", &name]));
    let mut list = std::process::Command::new("tar");
    list.arg("-t")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut tar = list.spawn().expect("tar starts");
    let mut input = tar.stdin.take().expect("a pipe");
    let bytes = out.stdout;
    let feeding = std::thread::spawn(move || std::io::Write::write_all(&mut input, &bytes));
    let names = tar.wait_with_output().expect("tar ends").stdout;
    feeding.join().expect("no panic").expect("all is read");
    let names = String::from_utf8_lossy(&names);
    let names: Vec<&str> = names
        .lines()
        .map(|l| l.trim_start_matches("./").trim_end_matches('/'))
        .collect();
    for place in [
        "etc/mtab",
        "etc/hosts",
        "etc/resolv.conf",
        "dev/console",
        "dev/pts",
        "dev/shm",
        ".dockerenv",
    ] {
        assert!(names.contains(&place), "{place}");
    }
    e.ok(&["rm", &name]);
}
