//! Archives into a container and out of it: what a path is, what goes in, what is refused.

use super::*;

#[test]
fn what_a_path_is() {
    let e = Engine::start();
    let c = Container::run(
        &e,
        "stat",
        &["--tmpfs", "/tmpf", "-v", "/vol"],
        &format!("{TREE}; echo t > /tmpf/t; echo v > /vol/v"),
    );
    for (path, name, mode, target) in [
        ("/", "/", 2147484141u64, ""),
        ("/.", ".", 2147484141, ""),
        (".", ".", 2147484141, ""),
        ("etc", "etc", 2147484141, ""),
        ("/etc/", "etc", 2147484141, ""),
        ("/etc/.", ".", 2147484141, ""),
        ("/etc/passwd", "passwd", 420, ""),
        ("../../../etc/passwd", "passwd", 420, ""),
        ("/l", "l", 134218239, "/etc/passwd"),
        ("/d/rel", "rel", 134218239, "/etc/hostname"),
        ("/dang", "dang", 134218239, "/nope"),
        ("/ld", "ld", 134218239, "/d"),
        ("/ld/", "ld", 2147484141, ""),
        ("/ld/.", ".", 2147484141, ""),
        ("/d/lsub", "lsub", 134218239, "/d/sub"),
        ("/d/../d/sub/f", "f", 8389101, ""),
        ("/ff", "ff", 33554852, ""),
        ("/cd", "cd", 69206436, ""),
        ("/st", "st", 2148532735, ""),
        ("/sp%20ace", "sp ace", 420, ""),
        ("/proc", "proc", 2147484141, ""),
        ("/dev", "dev", 2147484141, ""),
        ("/vol/v", "v", 420, ""),
        ("/etc/hosts", "hosts", 420, ""),
    ] {
        let (status, stat) = c.stat(path);
        assert_eq!(status, 200, "{path}");
        assert_eq!(
            (&stat["name"], &stat["mode"], &stat["linkTarget"]),
            (&json!(name), &json!(mode), &json!(target)),
            "{path}: {stat}"
        );
    }
    let (_, stat) = c.stat("/etc/passwd");
    assert_eq!(
        (&stat["size"], &stat["mtime"]),
        (&json!(68), &json!("1970-01-01T00:00:00Z"))
    );
    assert_ne!(
        c.stat("/etc/hosts").1["size"],
        json!(0),
        "the engine's own file, not what it covers"
    );
    // What is mounted for the processes alone is not part of it.
    for path in ["/tmpf/t", "/proc/1", "/dev/null", "/nope", "/nope/x", "/dang/"] {
        assert_eq!(c.stat(path).0, 404, "{path}");
    }
    for path in ["/etc/passwd/", "/etc/passwd/.", "/etc/passwd/x", "/l/"] {
        assert_eq!(c.stat(path).0, 500, "{path}");
    }
    assert_eq!(c.stat("").0, 400);
    let missing = c.get("/nope");
    assert_eq!(
        (missing.status, missing.message()),
        (
            404,
            format!("Could not find the file /nope in container {}", c.name)
        )
    );
    assert_eq!(
        c.get("/etc/passwd/").message(),
        "lstat /etc/passwd/: not a directory"
    );
    let nobody = e.api(
        "HEAD",
        &format!("/containers/{}/archive?path=/", e.name("nobody")),
        None,
    );
    assert_eq!(nobody.status, 404);
}

#[test]
fn trees_come_out_with_docker_s_names() {
    let e = Engine::start();
    let c = Container::run(
        &e,
        "get",
        &["-v", "/vol"],
        &format!("{TREE}; echo v > /vol/v; chown 5:6 /vol/v"),
    );
    let below = |top: &str| {
        [
            "d755 0/0 0 {}/",
            "l777 0/0 0 {}/lsub -> /d/sub",
            "l777 0/0 0 {}/rel -> ../../../../etc/hostname",
            "d755 7/8 0 {}/sub/",
            "-4755 0/0 2 {}/sub/f",
            "h4755 0/0 0 {}/sub/hard -> {}/sub/f",
        ]
        .map(|line| line.replace("{}", top))
        .to_vec()
    };
    for (path, top) in [
        ("/d", "d"),
        ("/d/", "d"),
        ("/ld/", "ld"),
        ("/d/.", "."),
        ("/ld/.", "."),
    ] {
        let listed: Vec<String> = c.listed(path);
        assert_eq!(listed, below(top), "{path}");
    }
    assert_eq!(c.listed("/d/sub/f"), ["-4755 0/0 2 f"]);
    assert_eq!(c.listed("/l"), ["l777 0/0 0 l -> /etc/passwd"]);
    assert_eq!(c.listed("/ff"), ["p644 0/0 0 ff"]);
    assert_eq!(c.listed("/cd"), ["c644 0/0 0 cd"]);
    assert_eq!(c.listed("/st"), ["d1777 0/0 0 st/"]);
    assert_eq!(c.listed("/vol"), ["d755 0/0 0 vol/", "-644 5/6 2 vol/v"]);
    let root = c.listed("/");
    assert_eq!(root[0], "d755 0/0 0 /");
    assert!(root.contains(&"-644 0/0 68 /etc/passwd".to_owned()), "{root:?}");
    assert!(c.listed("/.").contains(&"-644 0/0 68 ./etc/passwd".to_owned()));
    assert_eq!(c.get("/d").header("content-type"), Some("application/x-tar"));
    assert!(c.get("/d").header("x-docker-container-path-stat").is_some());
}

#[test]
fn archives_go_in_plain_and_compressed() {
    let e = Engine::start();
    let c = Container::run(&e, "put", &["-v", "/vol"], "ln -s /www /lw; mkdir /t");
    let plain = tar(json!([
        {"n": "d", "t": "d", "m": 0o750, "u": 3, "g": 4, "s": 1000},
        {"n": "d/f", "d": "new", "m": 0o4755, "u": 1234, "g": 2345, "s": 2000},
        {"n": "deep/er/f", "d": "x"}, {"n": "d/l", "t": "l", "l": "f"}, {"n": "d/h", "t": "h", "l": "d/f", "m": 0o4755, "u": 1234, "g": 2345, "s": 2000},
        {"n": "p", "t": "p", "m": 0o600}, {"n": "null", "t": "c", "v": [1, 3], "m": 0o666},
    ]));
    assert_eq!(c.put("/t", &plain), (200, String::new()));
    assert_eq!(
        c.sh("cd /t; stat -c '%n %A %u/%g %Y' d d/f; stat -c '%n %F %h' d/l d/h p null deep/er/f; cat d/l"),
        "d drwxr-x--- 3/4 1000\nd/f -rwsr-xr-x 1234/2345 2000\nd/l symbolic link 1\nd/h regular file 2\np fifo 1\nnull character special file 1\ndeep/er/f regular file 1\nnew"
    );
    for (how, tool) in [("gz", "gzip"), ("bz2", "bz2"), ("zst", "")] {
        let packed = if tool.is_empty() {
            let mut zstd = std::process::Command::new("zstd");
            zstd.arg("-qc")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped());
            let mut child = zstd.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), &plain).unwrap();
            child.wait_with_output().unwrap().stdout
        } else {
            let script = format!(
                "import sys,base64,{tool}; print(base64.b64encode({tool}.compress(sys.stdin.buffer.read())).decode())"
            );
            BASE64_STANDARD.decode(python(&script, &plain).trim()).unwrap()
        };
        c.sh("rm -rf /t; mkdir /t");
        assert_eq!(c.put("/t", &packed), (200, String::new()), "{how}");
        assert_eq!(c.sh("cat /t/d/h"), "new", "{how}");
    }
    if !e.is_reference() {
        // Docker runs a program for this one, which the reference has not got.
        let script = "import sys,base64,lzma; print(base64.b64encode(lzma.compress(sys.stdin.buffer.read())).decode())";
        let packed = BASE64_STANDARD.decode(python(script, &plain).trim()).unwrap();
        c.sh("rm -rf /t; mkdir /t");
        assert_eq!(c.put("/t", &packed), (200, String::new()));
        assert_eq!(c.sh("cat /t/d/h"), "new");
    }
    assert_eq!(
        c.put("/lw", &plain).0,
        200,
        "a link to a directory is a directory"
    );
    assert_eq!(c.sh("cat /www/d/f"), "new");
    assert_eq!(c.put("/vol", &plain).0, 200);
    assert_eq!(c.sh("cat /vol/d/f"), "new");
    assert_eq!(c.put("/t", b"").0, 200, "nothing is an archive of nothing");
}

#[test]
fn what_cannot_be_extracted_is_refused_in_docker_s_words() {
    let e = Engine::start();
    let c = Container::run(
        &e,
        "bad",
        &["-v", "/ro:/ro:ro", "-v", &format!("{}:/rv:ro", e.name("rv"))],
        "mkdir -p /t/d; touch /t/l; ln -s /rv /lrv",
    );
    let file = tar(json!([{"n": "d", "d": "x"}]));
    let dir = tar(json!([{"n": "l", "t": "d"}]));
    assert_eq!(
        c.put("/nope", &file),
        (
            404,
            format!("Could not find the file /nope in container {}", c.name)
        )
    );
    assert_eq!(
        c.put("/etc/passwd", &file),
        (400, "extraction point is not a directory".into())
    );
    for path in ["/rv", "/rv/.", "/lrv", "/ro"] {
        assert_eq!(
            c.put(path, &file),
            (400, "mounted volume is marked read-only".into()),
            "{path}"
        );
    }
    assert_eq!(c.put("/rv/../t", &tar(json!([{"n": "n", "d": "x"}]))).0, 200);
    let strict = "/t&noOverwriteDirNonDir=1";
    assert_eq!(
        c.put(strict, &file),
        (
            500,
            "cannot overwrite directory \"d\" with non-directory \"/t\"".into()
        )
    );
    assert_eq!(
        c.put(strict, &dir),
        (
            500,
            "cannot overwrite non-directory \"l\" with directory \"/t\"".into()
        )
    );
    assert_eq!(c.put("/t", &dir).0, 200);
    assert_eq!(c.put("/t", &file).0, 200);
    assert_eq!(c.sh("cat /t/d; stat -c %F /t/l"), "xdirectory");
    assert_eq!(
        c.put("/t", &[b'j'; 1000]),
        (500, "archive/tar: invalid tar header".into())
    );
    let long = tar(json!([{"n": "long", "d": "x".repeat(1000)}]));
    assert_eq!(c.put("/t", &long[..700]), (500, "unexpected EOF".into()));
    assert_eq!(c.put("/t", &long[..1512]).0, 200, "the padding may be missing");
    let readonly = Container::run(
        &e,
        "robox",
        &["--read-only", "--tmpfs", "/tmp", "-v", "/vol"],
        "true",
    );
    assert_eq!(
        readonly.put("/", &file),
        (400, "container rootfs is marked read-only".into())
    );
    assert_eq!(readonly.put("/vol", &file).0, 200);
    assert_eq!(readonly.sh("cat /vol/d"), "x");
    drop(c);
    e.docker(&["volume", "rm", &e.name("rv")]);
    let _ = std::fs::remove_dir(Path::new("/ro"));
}

#[test]
fn hostile_archives_stay_where_they_are_put() {
    let e = Engine::start();
    let c = Container::run(&e, "hostile", &[], "mkdir /h");
    for (entries, status, message) in [
        (
            json!([{"n": "../out", "d": "x"}]),
            500,
            "invalid entry name \"../out\"",
        ),
        (json!([{"n": "/absf", "d": "x"}]), 200, ""),
        (
            json!([{"n": "esc", "t": "l", "l": "/etc"}, {"n": "esc/pwn", "d": "x"}]),
            200,
            "",
        ),
        (
            json!([{"n": "escr", "t": "l", "l": "../../etc"}, {"n": "escr/pwn2", "d": "x"}]),
            500,
            "statat escr: path escapes from parent",
        ),
        (
            json!([{"n": "hl", "t": "h", "l": "../etc/passwd"}]),
            500,
            "invalid hardlink target \"../etc/passwd\"",
        ),
        (
            json!([{"n": "f1", "d": "1"}, {"n": "f1/below", "d": "1"}]),
            500,
            "openat f1/below: not a directory",
        ),
        (json!([{"n": "./", "t": "d", "m": 0o700}]), 200, ""),
    ] {
        let (got, said) = c.put("/h", &tar(entries.clone()));
        assert_eq!((got, said.as_str()), (status, message), "{entries}");
    }
    for entries in [
        json!([{"n": "hla", "t": "h", "l": "/etc/passwd"}]),
        json!([{"n": "s1", "t": "l", "l": "/etc"}, {"n": "hl2", "t": "h", "l": "s1/passwd"}]),
    ] {
        assert_eq!(c.put("/h", &tar(entries)).0, 404);
    }
    assert_eq!(
        c.sh("stat -c %a /h; ls /etc/pwn* /out /absf 2>/dev/null; find /h ! -type d | sort; stat -c %h /etc/passwd"),
        "755\n/h/absf\n/h/esc\n/h/escr\n/h/etc/pwn\n/h/f1\n/h/s1\n1"
    );
}

#[test]
fn owners_are_the_archive_s_or_the_container_s_user() {
    let e = Engine::start();
    let c = Container::run(&e, "owner", &["-u", "app"], "true");
    e.ok(&["exec", "-u", "0", &c.name, "mkdir", "/tmp/t"]);
    let file = tar(json!([{"n": "a/f", "d": "x", "u": 7, "g": 8}]));
    assert_eq!(c.put("/tmp/t", &file).0, 200);
    assert_eq!(c.sh("stat -c %u:%g /tmp/t/a /tmp/t/a/f"), "0:0\n7:8");
    e.ok(&["exec", "-u", "0", &c.name, "rm", "-rf", "/tmp/t/a"]);
    assert_eq!(c.put("/tmp/t&copyUIDGID=true", &file).0, 200);
    assert_eq!(c.sh("stat -c %u:%g /tmp/t/a/f"), "1000:1000");
}
