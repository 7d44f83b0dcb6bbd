//! Keys of `daemon.json` that change what containers get: a seccomp profile, device descriptions, defaults that a reload
//! replaces.

use serde_json::json;
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::time::Duration;

fn write(host: &Host, config: &serde_json::Value) {
    std::fs::write(host.dir().join("daemon.json"), config.to_string()).expect("a file");
}

fn reload(host: &Host) {
    let pid = i32::try_from(host.daemon_pid().expect("a daemon")).expect("a pid");
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("a signal");
}

#[test]
fn the_daemons_own_seccomp_profile() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    let path = host.dir().join("profile.json");
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
    });
    std::fs::write(&path, profile.to_string()).expect("a file");
    host.stop();
    write(host, &json!({"seccomp-profile": path}));
    host.start();
    let options = e.ok(&["info", "-f", "{{.SecurityOptions}}"]);
    assert!(
        options.contains(&format!("name=seccomp,profile={}", path.display())),
        "{options}"
    );
    let script = "mkdir /x 2>&1 | grep -c 'not permitted'; grep '^Seccomp:' /proc/self/status | cut -f2";
    assert_eq!(e.sh(&[], script), "1\n2");
    let name = e.name("profile");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    assert_eq!(e.ok(&["exec", &name, "sh", "-c", script]), "1\n2");
    e.ok(&["rm", "-f", &name]);
    assert_eq!(
        e.sh(&["--security-opt", "seccomp=builtin"], "mkdir /x && echo made"),
        "made"
    );
    let file = format!("seccomp={}", path.display());
    assert_eq!(e.sh(&["--security-opt", &file], script), "1\n2");
    // Docker's refusals: of a profile that is none, and of a daemon whose profile is not there.
    std::fs::write(&path, "{\"defaultAction\": 7}").expect("a file");
    let (code, _, err) = e.code(&["run", "--rm", "--security-opt", &file, IMAGE, "true"]);
    assert!(
        code != 0 && err.contains("decoding seccomp profile failed"),
        "{err}"
    );
    let host = e.host().expect("ours");
    host.stop();
    write(host, &json!({"seccomp-profile": "unconfined"}));
    host.start();
    assert_eq!(e.sh(&[], "grep '^Seccomp:' /proc/self/status | cut -f2"), "0");
    let host = e.host().expect("ours");
    host.stop();
    let bad = std::process::Command::new(shoal_tests_harness::binary("shoald"))
        .args([
            "--seccomp-profile",
            "/nonexistent",
            "-H",
            "unix:///tmp/shoal-never.sock",
        ])
        .args([
            "--data-root",
            "/tmp/shoal-never",
            "--exec-root",
            "/tmp/shoal-never",
            "--pidfile",
        ])
        .arg(host.dir().join("other.pid"))
        .output()
        .expect("shoald runs");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(
        !bad.status.success() && said.contains("opening seccomp profile (/nonexistent) failed"),
        "{said}"
    );
}

#[test]
fn a_reload_replaces_what_new_containers_get() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    write(
        host,
        &json!({"default-shm-size": "9m", "default-ipc-mode": "shareable", "runtimes": {"other": {"path": "/bin/false"}}}),
    );
    reload(host);
    let size = || {
        let id = e.ok(&["create", IMAGE]);
        let made = e.ok(&[
            "inspect",
            "-f",
            "{{.HostConfig.ShmSize}} {{.HostConfig.IpcMode}}",
            &id,
        ]);
        e.ok(&["rm", &id]);
        (made == format!("{} shareable", 9 << 20)).then_some(())
    };
    eventually(
        "new containers get the new defaults",
        Duration::from_secs(10),
        size,
    );
    let id = e.ok(&["create", "--runtime", "other", IMAGE]);
    e.ok(&["rm", &id]);
}

#[test]
fn devices_are_described_where_the_daemon_is_told() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    let dir = host.dir().join("cdi");
    std::fs::create_dir_all(&dir).expect("a folder");
    let spec = json!({
        "cdiVersion": "0.6.0", "kind": "shoal.test/thing",
        "devices": [{"name": "one", "containerEdits": {"env": ["THING=one"]}}]
    });
    std::fs::write(dir.join("thing.json"), spec.to_string()).expect("a file");
    host.stop();
    write(host, &json!({"cdi-spec-dirs": [dir]}));
    host.start();
    assert_eq!(e.sh(&["--device", "shoal.test/thing=one"], "echo $THING"), "one");
    assert_eq!(
        e.ok(&["info", "-f", "{{json .CDISpecDirs}}"]),
        json!([dir]).to_string()
    );
}

#[test]
fn the_daemons_own_score_is_not_the_containers() {
    let mut e = Engine::start();
    let Some(host) = e.host() else { return };
    host.stop();
    write(host, &json!({"oom-score-adjust": 300}));
    host.start();
    let pid = host.daemon_pid().expect("a daemon");
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("a score");
    assert_eq!(score.trim(), "300");
    assert_eq!(e.sh(&[], "cat /proc/self/oom_score_adj"), "0");
}
