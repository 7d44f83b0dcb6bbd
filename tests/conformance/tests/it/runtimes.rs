//! Containers that another OCI runtime makes: everything about them is as with the built-in one.

use crate::security_facts::{PROBE, check};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::eventually;
use std::path::Path;
use std::time::Duration;

/// Runtimes of this machine: the name that the engine is given, and the program. crun refuses hosts that have both
/// versions of control groups.
fn programs() -> Vec<(&'static str, String)> {
    let hybrid = Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists();
    let mut found = Vec::new();
    for (name, program) in [("realrunc", "runc"), ("crun", "crun")] {
        let paths = ["/usr/sbin", "/usr/bin"].map(|dir| format!("{dir}/{program}"));
        if let Some(path) = paths.into_iter().find(|path| Path::new(path).exists())
            && !(hybrid && name == "crun")
        {
            found.push((name, path));
        }
    }
    found
}

/// An engine that knows those runtimes, and their names. A reference engine has to be started with them.
fn engine() -> (Engine, Vec<&'static str>) {
    let mut e = Engine::start();
    let known = programs();
    if let Some(host) = e.host() {
        host.stop();
        for (name, path) in &known {
            host.args.push(format!("--add-runtime={name}={path}"));
        }
        host.start();
    }
    let listed = e.ok(&["info", "-f", "{{json .Runtimes}}"]);
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    let there = names
        .into_iter()
        .filter(|name| listed.contains(&format!("\"{name}\"")));
    let there: Vec<_> = there.collect();
    if there.is_empty() {
        println!("no other runtime is here: nothing is shown");
    }
    (e, there)
}

#[test]
fn a_container_of_another_runtime_is_as_any() {
    let (e, names) = engine();
    for runtime in names {
        let run = |args: &[&str]| {
            let mut all = vec!["run", "--rm", "--runtime", runtime];
            all.extend(args);
            e.code(&all)
        };
        let script = "echo out; echo err >&2; exit 7";
        assert_eq!(
            run(&[IMAGE, "sh", "-c", script]),
            (7, "out".into(), "err".into()),
            "{runtime}"
        );
        let (code, _, err) = run(&[IMAGE, "nosuch"]);
        // The CLI knows runc's words; crun's it takes for any failure.
        assert!(code == 127 || runtime == "crun", "{runtime}: {code} {err}");
        assert!(
            err.contains("nosuch") && err.contains("not found"),
            "{runtime}: {err}"
        );
        let (code, _, err) = run(&[IMAGE, "/etc/passwd"]);
        assert_eq!(code, 126, "{runtime}: {err}");
        let (_, out, _) = run(&["-t", IMAGE, "tty"]);
        assert_eq!(out, "/dev/pts/0", "{runtime}");
        let (code, out, err) = run(&[
            "--init",
            "--user",
            "65534:65534",
            "-w",
            "/tmp",
            "-e",
            "A=b",
            IMAGE,
            "sh",
            "-c",
            "echo $A $(id -u) $(pwd) $(head -c 17 /proc/1/cmdline)",
        ]);
        assert_eq!(
            (code, out.as_str()),
            (0, "b 65534 /tmp /sbin/docker-init"),
            "{runtime}: {err}"
        );
        let (_, out, err) = run(&[IMAGE, "sh", "-c", PROBE]);
        check(&out, &format!("{runtime}: {err}"));
        let (code, out, err) = run(&[
            "--network",
            "host",
            "--pid",
            "host",
            "--uts",
            "host",
            "--ipc",
            "host",
            IMAGE,
            "sh",
            "-c",
            "(sleep 0.2 &); (sleep 0.1 &); exit 4",
        ]);
        assert_eq!(code, 4, "{runtime}: {out}{err}");
    }
}

#[test]
fn its_life_is_as_any() {
    let (e, names) = engine();
    for runtime in names {
        let name = e.name(runtime);
        let volume = e.name("of-runtime");
        e.ok(&[
            "run",
            "-d",
            "--name",
            &name,
            "--runtime",
            runtime,
            "--memory",
            "64m",
            "-v",
            &format!("{volume}:/data"),
            "--read-only",
            "--tmpfs",
            "/scratch",
            IMAGE,
            "sh",
            "-c",
            "echo begun; trap 'echo bye; exit 5' TERM; echo x > /data/f; while :; do sleep 0.05; done",
        ]);
        let inspect = |f: &str| e.ok(&["inspect", "-f", f, &name]);
        assert_eq!(
            inspect("{{.HostConfig.Runtime}} {{.State.Status}}"),
            format!("{runtime} running")
        );
        assert_eq!(e.ok(&["exec", &name, "cat", "/data/f"]), "x");
        assert_eq!(e.code(&["exec", &name, "sh", "-c", "exit 3"]).0, 3);
        assert_eq!(e.code(&["exec", &name, "nosuch"]).0, 127);
        assert_eq!(e.ok(&["exec", "-t", &name, "tty"]), "/dev/pts/0");
        assert_eq!(
            e.ok(&[
                "exec",
                "-u",
                "65534",
                "-e",
                "Q=1",
                &name,
                "sh",
                "-c",
                "echo $Q $(id -u)"
            ]),
            "1 65534"
        );
        assert!(
            e.code(&["exec", &name, "touch", "/nowhere"])
                .2
                .contains("Read-only")
        );
        e.ok(&["exec", "-d", &name, "touch", "/scratch/detached"]);
        let stats = e.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &name]);
        assert!(stats.contains("/ 64MiB") && !stats.starts_with("0B"), "{stats}");
        assert!(e.ok(&["top", &name]).contains("sleep"));
        e.ok(&["pause", &name]);
        assert_eq!(inspect("{{.State.Status}}"), "paused");
        e.ok(&["unpause", &name]);
        e.ok(&["update", "--memory", "128m", "--memory-swap", "128m", &name]);
        let joined = e.ok(&[
            "run",
            "--rm",
            "--network",
            &format!("container:{name}"),
            IMAGE,
            "hostname",
        ]);
        assert_eq!(joined, e.ok(&["exec", &name, "hostname"]));
        e.ok(&["stop", &name]);
        assert_eq!(inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
        assert_eq!(e.ok(&["logs", &name]), "begun\nbye");
        e.ok(&["start", &name]);
        e.ok(&["kill", &name]);
        assert_eq!(e.ok(&["wait", &name]), "137");
        e.ok(&["start", &name]);
        e.ok(&["rm", "-f", &name]);
        e.ok(&["volume", "rm", &volume]);
        let oom = e.name("oom");
        let eats = "x=0123456789; while :; do x=$x$x; done";
        let (code, _, _) = e.code(&[
            "run",
            "--name",
            &oom,
            "--runtime",
            runtime,
            "-m",
            "16m",
            "--memory-swap",
            "16m",
            IMAGE,
            "sh",
            "-c",
            eats,
        ]);
        assert_eq!(code, 137, "{runtime}");
        assert_eq!(e.ok(&["inspect", "-f", "{{.State.OOMKilled}}", &oom]), "true");
        e.ok(&["rm", &oom]);
    }
}

#[test]
fn the_daemon_comes_and_goes_and_nothing_of_it_stays() {
    let (mut e, names) = engine();
    if e.is_reference() {
        return;
    }
    for runtime in names {
        let (keep, ends) = (e.name("keep"), e.name("ends"));
        e.ok(&[
            "run",
            "-d",
            "--name",
            &keep,
            "--runtime",
            runtime,
            IMAGE,
            "sh",
            "-c",
            "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done",
        ]);
        e.ok(&[
            "run",
            "-d",
            "--name",
            &ends,
            "--runtime",
            runtime,
            IMAGE,
            "sh",
            "-c",
            "sleep 0.5; echo last; exit 9",
        ]);
        let pid = e.ok(&["inspect", "-f", "{{.State.Pid}}", &keep]);
        e.host().unwrap().kill();
        std::thread::sleep(Duration::from_secs(1));
        e.host().unwrap().start();
        assert_eq!(
            e.ok(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", &keep]),
            format!("{pid} running")
        );
        assert_eq!(
            e.ok(&["inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", &ends]),
            "9 exited"
        );
        assert_eq!(e.ok(&["exec", &keep, "echo", "alive"]), "alive");
        let id = e.ok(&["inspect", "-f", "{{.Id}}", &keep]);
        // A killed shim: the container goes, and can be started again.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let shim: i32 = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(shim),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        assert_eq!(e.ok(&["wait", &keep]), "137");
        let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
        eventually("the process is gone", Duration::from_secs(5), gone);
        e.ok(&["start", &keep]);
        assert_eq!(e.ok(&["exec", &keep, "echo", "again"]), "again");
        e.ok(&["rm", "-f", &keep, &ends]);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&id), "{runtime}: a mount stays");
        let groups = shoal_tests_harness::run_ok(std::process::Command::new("find").args([
            "/sys/fs/cgroup",
            "-name",
            &id,
        ]));
        assert_eq!(groups, "", "{runtime}: a control group stays");
    }
}

#[test]
fn a_runtime_that_nobody_knows_is_refused_and_the_default_can_be_another() {
    let (mut e, names) = engine();
    let (_, _, err) = e.code(&["create", "--runtime", "nosuch", IMAGE]);
    assert_eq!(
        err,
        "Error response from daemon: unknown or invalid runtime name: nosuch"
    );
    assert_eq!(e.sh(&["--runtime", "io.containerd.runc.v2"], "echo ours"), "ours");
    let Some(name) = names.first() else { return };
    if let Some(host) = e.host() {
        host.stop();
        host.args.push(format!("--default-runtime={name}"));
        host.start();
        assert_eq!(e.ok(&["info", "-f", "{{.DefaultRuntime}}"]), *name);
        let id = e.ok(&["create", IMAGE, "true"]);
        assert_eq!(e.ok(&["inspect", "-f", "{{.HostConfig.Runtime}}", &id]), *name);
        e.ok(&["start", "-a", &id]);
        // A name that went with a restart: said at the start, in the same words.
        let host = e.host().unwrap();
        host.stop();
        host.args.retain(|arg| !arg.contains("runtime"));
        host.start();
        let (_, _, err) = e.code(&["start", &id]);
        assert!(
            err.contains(&format!("unknown or invalid runtime name: {name}")),
            "{err}"
        );
        e.ok(&["rm", &id]);
    }
}

#[test]
fn another_runtime_in_a_user_namespace() {
    let (mut e, names) = engine();
    if e.is_reference() {
        return; // It has to be started with both options; see the cases of user namespaces.
    }
    let Some(name) = names.first() else { return };
    let host = e.host().unwrap();
    host.stop();
    host.args.push("--userns-remap=default".into());
    host.start();
    let volume = e.name("mapped");
    let out = e.sh(
        &["--runtime", name, "-v", &format!("{volume}:/data")],
        "awk '{print $1, $3}' /proc/self/uid_map; touch /data/f /g; stat -c %u /data/f /g /bin/busybox; ip -4 -o addr show eth0 | wc -l",
    );
    assert_eq!(out, "0 65536\n0\n0\n0\n1");
    e.ok(&["volume", "rm", &volume]);
}
