//! A container's files as clients see them: `docker cp` and what lies below it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{Answer, request_raw, run};
use std::path::Path;

/// Removed when the case ends, however it ends.
struct Container<'a> {
    e: &'a Engine,
    name: String,
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.e.docker(&["rm", "-f", "-v", &self.name]);
    }
}

impl<'a> Container<'a> {
    fn run(e: &'a Engine, what: &str, options: &[&str], script: &str) -> Self {
        let made = Self::make(
            e,
            what,
            options,
            &format!("{script}; touch /dev/shm/ready; exec sleep 1000"),
        );
        e.ok(&["start", &made.name]);
        shoal_tests_harness::eventually("the script ran", std::time::Duration::from_secs(10), || {
            e.docker(&["exec", &made.name, "test", "-e", "/dev/shm/ready"])
                .status
                .success()
                .then_some(())
        });
        made
    }

    fn make(e: &'a Engine, what: &str, options: &[&str], script: &str) -> Self {
        let name = e.name(what);
        let mut args = vec!["create", "--name", &name];
        args.extend(options);
        args.extend([IMAGE, "sh", "-c", script]);
        e.ok(&args);
        Container { e, name }
    }

    fn url(&self, path: &str) -> String {
        format!("/v1.47/containers/{}/archive?path={}", self.name, path)
    }

    fn stat(&self, path: &str) -> (u16, Value) {
        let answer = self.e.api("HEAD", &self.url(path), None);
        let stat = answer
            .header("x-docker-container-path-stat")
            .map(|text| serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap());
        (answer.status, stat.unwrap_or(Value::Null))
    }

    fn put(&self, path: &str, tar: &[u8]) -> (u16, String) {
        let headers = "Content-Type: application/x-tar\r\n";
        let answer = request_raw(&self.e.socket(), "PUT", &self.url(path), headers, tar).unwrap();
        (
            answer.status,
            if answer.status == 200 {
                String::new()
            } else {
                answer.message()
            },
        )
    }

    fn get(&self, path: &str) -> Answer {
        self.e.api("GET", &self.url(path), None)
    }

    /// One line per entry, as `tar tv` has it without times.
    fn listed(&self, path: &str) -> Vec<String> {
        list(&self.get(path).body)
    }

    fn sh(&self, script: &str) -> String {
        self.e.ok(&["exec", &self.name, "sh", "-c", script])
    }
}

/// `mode uid/gid size name[ -> target]`, by Python's reader.
fn list(tar: &[u8]) -> Vec<String> {
    let script = "import sys,tarfile,stat\n\
        for m in tarfile.open(fileobj=sys.stdin.buffer,mode='r|'):\n\
        \x20 k={b'0':'-',b'5':'d',b'2':'l',b'1':'h',b'6':'p',b'3':'c',b'4':'b'}[m.type]\n\
        \x20 n=m.name+('/' if m.isdir() else '')+(' -> '+m.linkname if m.linkname else '')\n\
        \x20 print(k+oct(m.mode)[2:],'%d/%d'%(m.uid,m.gid),m.size,n)";
    python(script, tar).lines().map(str::to_owned).collect()
}

fn python(script: &str, input: &[u8]) -> String {
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(out.status.success(), "{script}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A tar of entries in Python's words: `[{"n": name, "t": type letter, "l": target, "d": data, ...}]`.
fn tar(entries: Value) -> Vec<u8> {
    let script = "import sys,tarfile,io,json,base64\n\
        T={'f':tarfile.REGTYPE,'d':tarfile.DIRTYPE,'l':tarfile.SYMTYPE,'h':tarfile.LNKTYPE,'p':tarfile.FIFOTYPE,'c':tarfile.CHRTYPE,'b':tarfile.BLKTYPE}\n\
        o=io.BytesIO(); t=tarfile.open(fileobj=o,mode='w',format=tarfile.PAX_FORMAT)\n\
        for e in json.load(sys.stdin):\n\
        \x20 i=tarfile.TarInfo(e['n']); i.type=T[e.get('t','f')]; i.linkname=e.get('l',''); d=e.get('d','').encode(); i.size=len(d)\n\
        \x20 i.mode=e.get('m',0o644); i.uid=e.get('u',0); i.gid=e.get('g',0); i.mtime=e.get('s',0); i.devmajor,i.devminor=e.get('v',[0,0])\n\
        \x20 t.addfile(i,io.BytesIO(d) if d else None)\n\
        t.close(); print(base64.b64encode(o.getvalue()).decode())";
    let text = python(script, entries.to_string().as_bytes());
    BASE64_STANDARD.decode(text.trim()).unwrap()
}

const TREE: &str = "mkdir -p /d/sub; echo x >/d/sub/f; chmod 4755 /d/sub/f; ln -s /etc/passwd /l; ln -s ../../../../etc/hostname /d/rel; \
     ln -s /nope /dang; ln -s d /ld; ln -s /d/sub /d/lsub; mkfifo /ff; mknod /cd c 1 3; mkdir -m 1777 /st; touch '/sp ace'; \
     ln /d/sub/f /d/sub/hard; chown 7:8 /d/sub";

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
