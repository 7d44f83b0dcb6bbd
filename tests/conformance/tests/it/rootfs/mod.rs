//! A container's files as clients see them.

mod archives;
mod changes;
mod copies;

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
