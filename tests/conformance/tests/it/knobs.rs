//! What a create or an update refuses, leaves out with a warning, or gives to the kernel.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};

/// A create with this `HostConfig`: the status, and the message or the warnings.
fn create(e: &Engine, host: Value) -> (u16, String) {
    let body = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host});
    let answer = e.api("POST", "/v1.51/containers/create", Some(&body));
    if answer.status != 201 {
        return (answer.status, answer.message());
    }
    let id = answer.json()["Id"].as_str().unwrap().to_owned();
    e.ok(&["rm", &id]);
    (201, answer.json()["Warnings"].to_string())
}

#[test]
fn processors_and_memory_nodes_that_the_host_lacks_are_refused() {
    let e = Engine::start();
    let (code, text) = create(&e, json!({"CpusetCpus": "4000-4001"}));
    assert_eq!(code, 400);
    assert!(
        text.starts_with("Requested CPUs are not available - requested 4000-4001, available: 0"),
        "{text}"
    );
    let (_, text) = create(&e, json!({"CpusetMems": "700"}));
    assert!(
        text.starts_with("Requested memory nodes are not available - requested 700"),
        "{text}"
    );
    for (asked, why) in [
        ("0-x", "invalid format: 0-x"),
        ("1-0", "invalid format: 1-0"),
        ("99999", "value of out range, maximum is 8192"),
    ] {
        let text = create(&e, json!({"CpusetCpus": asked})).1;
        assert_eq!(text, format!("Invalid value {asked} for cpuset cpus: {why}"));
    }
    let name = e.name("cpus");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "100"]);
    let err = e.code(&["update", "--cpuset-cpus", "4000", &name]).2;
    assert!(
        err.contains("Requested CPUs are not available - requested 4000"),
        "{err}"
    );
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn what_is_out_of_range_is_refused_in_dockers_words() {
    let e = Engine::start();
    for (host, text) in [
        (
            json!({"CpuRealtimeRuntime": 900, "CpuRealtimePeriod": 800}),
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
        (
            json!({"IOMaximumBandwidth": 5}),
            "invalid option: QoS maximum bandwidth configuration is not supported on linux",
        ),
        (
            json!({"Isolation": "hyperv"}),
            "invalid isolation (hyperv): linux only supports 'default'",
        ),
        (
            json!({"Annotations": {"": "x"}}),
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ),
        (
            json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            json!({"Tmpfs": {"rel": ""}}),
            "invalid mount path: 'rel' mount path must be absolute",
        ),
        (
            json!({"Tmpfs": {"/": ""}}),
            "invalid specification: destination can't be '/'",
        ),
        (json!({"VolumesFrom": ["nosuch"]}), "No such container: nosuch"),
        (
            json!({"VolumesFrom": [""]}),
            "volumes-from specification cannot be an empty string",
        ),
        (
            json!({"PidMode": "container:nosuch"}),
            "No such container: nosuch",
        ),
        (
            json!({"IpcMode": "container:nosuch"}),
            "No such container: nosuch",
        ),
    ] {
        assert_eq!(create(&e, host.clone()), (400, text.to_owned()), "{host}");
    }
    let sized = create(&e, json!({"StorageOpt": {"size": "10G"}}));
    assert_eq!(
        sized.1,
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
    );
    assert_eq!(
        create(&e, json!({"StorageOpt": {"foo": "1"}})).1,
        "Unknown option foo"
    );
    let (code, warnings) = create(&e, json!({"OomKillDisable": true}));
    assert!(code == 201 && warnings.contains("OOM"), "{warnings}");
}

#[test]
fn binds_are_judged_before_anything_is_made() {
    let e = Engine::start();
    let volume = e.name("judged");
    let wrong = |spec: &str| create(&e, json!({"Binds": [format!("{volume}:/ok"), spec]})).1;
    for (spec, text) in [
        ("", "invalid volume specification: ''"),
        ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
        ("x:/a:badmode", "invalid mode: badmode"),
        ("/tmp:/b:ro,rw", "invalid mode: ro,rw"),
        (
            "/tmp:relative",
            "invalid volume specification: '/tmp:relative': invalid mount config for type \"bind\": invalid mount path: 'relative' mount path must be absolute",
        ),
        (
            "/tmp:/b:nocopy",
            "invalid volume specification: '/tmp:/b:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
        ),
        (
            "vol:/b:shared",
            "invalid volume specification: 'vol:/b:shared': invalid mount config for type \"volume\": field BindOptions must not be specified",
        ),
    ] {
        assert_eq!(wrong(spec), text);
    }
    // The reference makes the volumes before it has read all of a container's binds.
    assert!(e.is_reference() || !e.docker(&["volume", "inspect", &volume]).status.success());
    let mount = |mount: Value| create(&e, json!({"Mounts": [mount]}));
    for (given, text) in [
        (
            json!({"Type": "nope", "Target": "/x"}),
            "invalid mount config for type \"nope\": mount type unknown",
        ),
        (
            json!({"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "nope"}}),
            "invalid mount config for type \"bind\": invalid propagation mode: nope",
        ),
        (
            json!({"Type": "volume", "Source": "vv", "Target": "/x", "VolumeOptions": {"Subpath": "a/../../b"}}),
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
        ),
        (
            json!({"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["bad"]]}}),
            "invalid mount config for type \"tmpfs\": invalid option: bad",
        ),
        (
            json!({"Type": "bind", "Source": "/tmp", "Target": "/x", "TmpfsOptions": {}}),
            "TmpfsOptions must not be specified on mount type \"bind\"",
        ),
    ] {
        assert_eq!(mount(given.clone()), (400, text.to_owned()), "{given}");
    }
}

#[test]
fn a_mount_that_keeps_to_itself_cannot_be_shared() {
    let e = Engine::start();
    // A fresh tmpfs of the engine's own is nobody's peer, wherever the engine runs.
    let err = e
        .code(&["run", "--rm", "-v", "/proc/self:/x:rshared", IMAGE, "true"])
        .2;
    assert!(
        err.contains("but it is not a shared mount") && err.contains("is mounted on"),
        "{err}"
    );
}

#[test]
fn read_only_goes_all_the_way_down_unless_asked_otherwise() {
    let e = Engine::start();
    let below = "grep ' /x/' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1 | sort -u";
    assert_eq!(e.sh(&["-v", "/sys:/x:ro"], below), "ro");
    let all = "type=bind,src=/sys,dst=/x,readonly,bind-recursive=readonly,bind-propagation=rprivate";
    assert_eq!(e.sh(&["--mount", all], below), "ro");
    let top = "type=bind,src=/sys,dst=/x,readonly,bind-recursive=writable";
    let found = e.sh(&["--mount", top], below);
    assert!(found.contains("rw"), "{found}");
    let alone = "type=bind,src=/sys,dst=/x,bind-recursive=disabled";
    assert_eq!(e.sh(&["--mount", alone], below), "");
}

#[test]
fn another_image_is_mounted_read_only_and_counts_as_used() {
    let e = Engine::start();
    let (tag, name) = (format!("{}-mounted:1", e.prefix), e.name("imaged"));
    let layer = e.name("layer");
    e.ok(&["tag", IMAGE, &tag]);
    let whole = format!("type=image,src={tag},dst=/x");
    let run =
        |mount: &str, script: &str| e.code(&["run", "--rm", "--mount", mount, IMAGE, "sh", "-c", script]);
    assert_eq!(run(&whole, "ls /x/bin/busybox").1, "/x/bin/busybox");
    let (code, _, err) = run(&whole, "touch /x/new");
    assert!(code == 1 && err.contains("Read-only file system"), "{err}");
    let part = format!("{whole},image-subpath=bin");
    assert_eq!(run(&part, "ls /x/busybox").1, "/x/busybox");
    let out = e.code(&["create", "--name", &name, "--mount", &whole, IMAGE, "true"]);
    assert!(
        out.2.contains("Image mount is an experimental feature"),
        "{}",
        out.2
    );
    let shown = e.ok(&["inspect", "-f", "{{json .Mounts}}", &name]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown[0]["Type"], &shown[0]["Name"], &shown[0]["RW"]),
        (&json!("image"), &json!(tag), &json!(false))
    );
    e.ok(&["rm", &name]);
    e.ok(&["rmi", &tag]);
    let _ = layer;
    let missing = e.api(
        "POST",
        "/v1.51/containers/create",
        Some(&json!({"Image": IMAGE, "HostConfig": {"Mounts": [{"Type": "image", "Source": "nosuch", "Target": "/x"}]}})),
    );
    assert_eq!(
        (missing.status, missing.message()),
        (404, "No such image: nosuch:latest".into())
    );
}

#[test]
fn updates_that_do_not_fit_what_the_container_has_are_conflicts() {
    let e = Engine::start();
    let name = e.name("upd");
    let id = e.ok(&[
        "run", "-d", "--name", &name, "-m", "64m", "--cpus", "1", IMAGE, "sleep", "100",
    ]);
    let update = |body: Value| {
        let answer = e.api("POST", &format!("/v1.51/containers/{name}/update"), Some(&body));
        (answer.status, answer.text())
    };
    for (body, text) in [
        (
            json!({"Memory": 1 << 29}),
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
        (
            json!({"CpuQuota": 5000}),
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
    ] {
        let (code, answer) = update(body);
        assert_eq!(code, 409);
        assert!(
            answer.contains(&format!("Cannot update container {id}: {text}")),
            "{answer}"
        );
    }
    assert_eq!(update(json!({"PidsLimit": 40, "CpuShares": 300})).0, 200);
    let read = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null || true";
    assert_eq!(e.ok(&["exec", &name, "sh", "-c", read]), "40");
    e.ok(&["rm", "-f", &name]);
    let name = e.name("updrm");
    e.ok(&["run", "-d", "--rm", "--name", &name, IMAGE, "sleep", "100"]);
    let err = e.code(&["update", "--restart", "always", &name]).2;
    assert!(
        err.contains("Restart policy cannot be updated because AutoRemove is enabled for the container"),
        "{err}"
    );
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn block_devices_are_throttled_at_create_and_update() {
    let e = Engine::start();
    let disk = |name: &String| {
        ["vd", "sd", "nvme", "xvd"]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    let names = std::fs::read_dir("/sys/block").unwrap().flatten();
    let mut names = names.map(|f| f.file_name().to_string_lossy().into_owned());
    let Some(device) = names.find(disk).map(|name| format!("/dev/{name}")) else {
        return;
    };
    let name = e.name("disk");
    let rate = format!("{device}:1mb");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "--device-read-bps",
        &rate,
        IMAGE,
        "sleep",
        "100",
    ]);
    let read =
        "cat /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device /sys/fs/cgroup/io.max 2>/dev/null || true";
    assert!(e.ok(&["exec", &name, "sh", "-c", read]).contains("1048576"));
    e.ok(&["rm", "-f", &name]);
    let (code, _, err) = e.code(&[
        "run",
        "--rm",
        "--device-write-bps",
        "/dev/nosuch:1mb",
        IMAGE,
        "true",
    ]);
    assert_eq!(code, 127, "as the CLI reads that text");
    assert!(
        err.contains("stat /dev/nosuch: no such file or directory"),
        "{err}"
    );
}

#[test]
fn an_image_of_another_platform_is_not_the_one_that_was_asked_for() {
    let e = Engine::start();
    let body = json!({"Image": IMAGE});
    let answer = e.api(
        "POST",
        "/v1.51/containers/create?platform=linux/arm64",
        Some(&body),
    );
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.message(),
        format!(
            "image with reference {IMAGE} was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"
        )
    );
}

#[test]
fn devices_that_nobody_describes_are_refused() {
    let e = Engine::start();
    let (code, _, err) = e.code(&["run", "--rm", "--gpus", "all", IMAGE, "true"]);
    assert_eq!(code, 125);
    assert!(
        err.contains("could not select device driver \"\" with capabilities: [[gpu]]"),
        "{err}"
    );
    let (code, _, err) = e.code(&["run", "--rm", "--device", "vendor.com/class=x", IMAGE, "true"]);
    assert_eq!(code, 125);
    assert!(
        err.contains("CDI device injection failed: unresolvable CDI devices vendor.com/class=x"),
        "{err}"
    );
}

#[test]
fn a_network_to_be_joined_may_come_later_and_its_lack_is_told_at_the_start() {
    let e = Engine::start();
    let name = e.name("joins");
    e.ok(&[
        "create",
        "--name",
        &name,
        "--network",
        "container:nosuch",
        IMAGE,
        "true",
    ]);
    let err = e.code(&["start", &name]).2;
    assert!(
        err.contains("joining network namespace of container: No such container: nosuch"),
        "{err}"
    );
    e.ok(&["rm", &name]);
}

#[test]
fn words_of_the_verbs() {
    let e = Engine::start();
    let name = e.name("verbs");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "100"]);
    let err = e.code(&["kill", "-s", "NOPE", &name]).2;
    assert!(
        err.contains(&format!("cannot kill container: {name}: invalid signal: NOPE")),
        "{err}"
    );
    let err = e.code(&["kill", "-s", "99", &name]).2;
    assert!(
        err.contains("the linux daemon does not support signal 99"),
        "{err}"
    );
    let err = e.code(&["rename", &name, "k/k"]).2;
    assert!(
        err.contains("Error when allocating new name: Invalid container name (/k/k), only"),
        "{err}"
    );
    e.ok(&["pause", &name]);
    let err = e.code(&["exec", &name, "true"]).2;
    assert!(
        err.contains(&format!(
            "Container {name} is paused, unpause the container before exec"
        )),
        "{err}"
    );
    e.ok(&["rm", "-f", &name]);
    let (code, _, err) = e.code(&["run", "--rm", IMAGE, "/etc"]);
    assert_eq!(code, 126);
    assert!(
        err.contains("exec: \"/etc\": is a directory: permission denied"),
        "{err}"
    );
    let answer = e.api("GET", "/v1.51/containers/x/checkpoints", None);
    assert_eq!(answer.status, 501);
    assert!(
        answer
            .message()
            .starts_with("This experimental feature is disabled by default.")
    );
}

#[test]
fn a_shared_ipc_namespace_comes_with_its_shared_memory() {
    let e = Engine::start();
    let name = e.name("ipc");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "--ipc",
        "shareable",
        "--shm-size",
        "8m",
        IMAGE,
        "sh",
        "-c",
        "echo mine > /dev/shm/f; sleep 1000",
    ]);
    let mode = format!("container:{name}");
    let script = "cat /dev/shm/f; echo theirs > /dev/shm/g; df -m /dev/shm | tail -1 | awk '{print $2}'";
    assert_eq!(e.sh(&["--ipc", &mode], script), "mine\n8");
    assert_eq!(e.ok(&["exec", &name, "cat", "/dev/shm/g"]), "theirs");
    e.ok(&["rm", "-f", &name]);
}
