//! The daemon as supervisors know it: flags, `daemon.json`, signals, the pid file, sockets that it is given.
//!
//! The texts are the reference engine's (`dockerd --validate` of 28.5.2); these cases run our program itself.

use serde_json::{Value, json};
use shoal_tests_conformance::IMAGE;
use shoal_tests_harness::{Host, World, binary, eventually, request};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

/// `shoald --validate` over this file; status and standard error.
fn validate(text: &str, flags: &[&str]) -> (i32, String) {
    let dir = std::env::temp_dir().join(format!("shoal-validate-{}-{:p}", std::process::id(), &text));
    std::fs::create_dir_all(&dir).expect("a folder");
    let file = dir.join("d.json");
    std::fs::write(&file, text).expect("a file");
    let out = Command::new(binary("shoald"))
        .arg("--config-file")
        .arg(&file)
        .arg("--validate")
        .args(flags)
        .output()
        .expect("shoald runs");
    let said = String::from_utf8_lossy(&out.stderr).trim_end().to_owned();
    let said = said.replace(&file.display().to_string(), "FILE");
    let _ = std::fs::remove_dir_all(&dir);
    (out.status.code().unwrap_or(-1), said)
}

#[test]
fn validate_says_ok_or_why_not_in_dockers_words() {
    let whole = r#"{
        "debug": true, "labels": ["a=b"], "insecure-registries": ["10.0.0.0/8", "r:5000"], "registry-mirrors": ["https://m"],
        "features": {"x": true}, "runtimes": {"foo": {"path": "/bin/true"}}, "shutdown-timeout": 7, "metrics-addr": "127.0.0.1:9323",
        "default-address-pools": [{"base": "10.77.0.0/16", "size": 24}], "max-concurrent-downloads": 2, "bip": "10.9.0.1/16",
        "fixed-cidr": "10.9.1.0/24", "mtu": 1400, "exec-opts": ["native.cgroupdriver=cgroupfs"], "hosts": ["unix:///x"],
        "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}, "no-new-privileges": true,
        "log-driver": "json-file", "log-opts": {"max-size": "10m"}, "log-level": "warn", "log-format": "json", "storage-driver":
        "overlay2", "userland-proxy": false, "iptables": true, "ip6tables": true, "live-restore": true, "icc": false,
        "default-runtime": "runc", "authorization-plugins": [], "tlsverify": false, "data-root": "/x", "exec-root": "/y",
        "pidfile": "/z", "group": "root", "dns": ["1.1.1.1"], "dns-opts": ["ndots:1"], "dns-search": ["a.b"], "init": true,
        "default-shm-size": "64M", "seccomp-profile": "", "selinux-enabled": false, "userns-remap": "", "cgroup-parent": "",
        "builder": {"gc": {"enabled": true}}, "proxies": {"http-proxy": "http://p", "no-proxy": "x"}, "experimental": false,
        "containerd": "/run/c", "node-generic-resources": [], "swarm-default-advertise-addr": "", "raw-logs": false,
        "max-download-attempts": 3, "max-concurrent-uploads": 2, "default-ipc-mode": "shareable",
        "default-cgroupns-mode": "private", "host-gateway-ips": ["10.0.0.1"], "cdi-spec-dirs": ["/etc/cdi"]
    }"#;
    assert_eq!(validate(whole, &[]), (0, "configuration OK".into()));
    assert_eq!(validate("", &["--debug"]), (0, "configuration OK".into()));
    let refusal = "unable to configure the Docker daemon with file FILE: ";
    let merged = "merged configuration validation from file and command line flags failed: ";
    for (text, flags, reason) in [
        (r#"{"a":1,"b":{"c":1}}"#, &[][..], "the following directives don't match any configuration option: a, c".to_owned()),
        (
            r#"{"debug":true,"labels":["a=b"]}"#,
            &["-D", "--label", "c=d"],
            "the following directives are specified both as a flag and in the configuration file: debug: (from flag: true, \
             from file: true), labels: (from flag: [c=d], from file: [a=b])"
                .into(),
        ),
        (
            r#"{"debug":"x"}"#,
            &[],
            "invalid JSON: json: cannot unmarshal string into Go struct field Config.debug of type bool".into(),
        ),
        (r#"{"debug":true"#, &[], "invalid JSON: unexpected end of JSON input".into()),
        (r#"{"log-level":"foo"}"#, &[], format!("{merged}invalid logging level: foo")),
        (r#"{"hosts":["x://"]}"#, &[], format!("{merged}invalid bind address (x://): unsupported proto 'x'")),
        (r#"{"labels":["x"]}"#, &[], format!("{merged}bad attribute format: x")),
        (r#"{"log-format":"x"}"#, &[], format!("{merged}invalid log format: x")),
        (
            r#"{"max-concurrent-downloads":-1}"#,
            &[],
            format!("{merged}invalid max concurrent downloads: -1"),
        ),
    ] {
        assert_eq!(validate(text, flags), (1, format!("{refusal}{reason}")), "{text}");
    }
    let out = Command::new(binary("shoald"))
        .args(["--config-file", "/no/such/file", "--validate"])
        .output()
        .expect("shoald runs");
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&out.stderr).trim_end(),
        "unable to configure the Docker daemon with file /no/such/file: open /no/such/file: no such file or directory"
    );
}

#[test]
fn every_flag_of_dockerd_is_taken() {
    // `dockerd --help` of the reference: each once, some twice, of which the later counts.
    let flags = "--add-runtime x=/bin/true --allow-direct-routing --authorization-plugin a --bip 10.9.0.1/24 --bip6 fd00::1/64 \
        -b docker0 --cdi-spec-dir /a --cgroup-parent /p --containerd /c --containerd-namespace n --containerd-plugins-namespace p \
        --cpu-rt-period 1 --cpu-rt-runtime 1 --cri-containerd --data-root /d -D --default-address-pool base=10.1.0.0/16,size=24 \
        --default-cgroupns-mode host --default-gateway 10.9.0.1 --default-gateway-v6 fd00::1 --default-ipc-mode private \
        --default-network-opt bridge=a=b --default-runtime runc --default-shm-size 64m --default-ulimit nofile=1:2 --dns 1.1.1.1 \
        --dns-opt a --dns-search b --exec-opt native.cgroupdriver=cgroupfs --exec-root /e --experimental --feature x=true \
        --fixed-cidr 10.9.0.0/25 --fixed-cidr-v6 fd00::/80 -G root --host-gateway-ip 10.0.0.1 --http-proxy a --https-proxy b --icc \
        --init --init-path /i --insecure-registry r --ip 0.0.0.0 --ip-forward --ip-forward-no-drop --ip-masq --ip6tables --iptables \
        --ipv6 --label a=b --live-restore --log-driver json-file --log-format text -l info --log-opt a=b \
        --max-concurrent-downloads 1 --max-concurrent-uploads 1 --max-download-attempts 1 --metrics-addr 127.0.0.1:1 --mtu 1500 \
        --network-control-plane-mtu 1500 --no-new-privileges --no-proxy x --node-generic-resource a=b -p /p --raw-logs \
        --registry-mirror https://m --rootless=false --seccomp-profile builtin --selinux-enabled=false --shutdown-timeout 1 \
        -s overlay2 --storage-opt a=b --swarm-default-advertise-addr 1.1.1.1 --tls=false --tlscacert a --tlscert b --tlskey c \
        --tlsverify=false --userland-proxy=false --userland-proxy-path /u --userns-remap= -H unix:///x --shutdown-timeout 2 \
        --log-driver none --debug=false";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    assert_eq!(validate("{}", &flags), (0, "configuration OK".into()));
    for bad in [&["--nope"][..], &["--mtu", "x"], &["--shutdown-timeout"]] {
        let (status, said) = validate("{}", bad);
        assert_ne!(status, 0, "{bad:?}: {said}");
    }
}

fn host(world: &mut World, config: &Value) -> Host {
    let mut host = world.host();
    std::fs::create_dir_all(host.dir()).expect("a folder");
    std::fs::write(host.dir().join("daemon.json"), config.to_string()).expect("a file");
    host.args.push("--shutdown-timeout=20".into());
    host
}

#[test]
fn a_reload_counts_at_once_and_is_told() {
    let mut world = World::new();
    let mut host = host(&mut world, &json!({"labels": ["a=b"], "debug": false}));
    host.start();
    assert_eq!(
        host.api("GET", "/v1.44/info", None).json()["Labels"],
        json!(["a=b"])
    );
    let signal = |host: &Host, signal| {
        let pid = i32::try_from(host.daemon_pid().expect("a daemon")).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("a signal");
    };
    let config = json!({
        "labels": ["a=b", "c=e"], "debug": true, "insecure-registries": ["10.0.0.0/8", "r:5000"], "registry-mirrors": ["https://m"],
        "features": {"x": true, "y": false}, "runtimes": {"foo": {"path": "/bin/true"}}, "max-concurrent-downloads": 2,
        "live-restore": false
    });
    std::fs::write(host.dir().join("daemon.json"), config.to_string()).expect("a file");
    signal(&host, nix::sys::signal::Signal::SIGHUP);
    let reloads = |host: &Host| -> Vec<Value> {
        let text = host.api("GET", "/v1.44/events?since=0&until=0", None).text();
        let all = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        all.filter(|event: &Value| event["Action"] == "reload").collect()
    };
    let told = eventually("the reload is told", Duration::from_secs(10), || {
        reloads(&host).pop()
    });
    let values = &told["Actor"]["Attributes"];
    // As the reference writes them.
    for (key, value) in [
        ("debug", "true"),
        ("default-cgroupns-mode", "host"),
        ("default-ipc-mode", "private"),
        ("default-runtime", "runc"),
        ("default-shm-size", "67108864"),
        ("features", "map[x:true y:false]"),
        ("insecure-registries", "[\"10.0.0.0/8\",\"r:5000\"]"),
        ("labels", "[\"a=b\",\"c=e\"]"),
        ("live-restore", "false"),
        ("max-concurrent-downloads", "2"),
        ("max-concurrent-uploads", "5"),
        ("max-download-attempts", "5"),
        ("registry-mirrors", "[\"https://m\"]"),
        ("runtimes", "foo:/bin/true"),
        ("shutdown-timeout", "20"),
    ] {
        assert_eq!(values[key], value, "{key}: {values}");
    }
    assert_eq!(values["name"], "host1");
    let info = host.api("GET", "/v1.44/info", None).json();
    assert_eq!(told["Actor"]["ID"], info["ID"]);
    assert_eq!(info["Labels"], json!(["a=b", "c=e"]));
    assert_eq!(info["Debug"], true);
    assert_eq!(info["LiveRestoreEnabled"], false);
    assert_eq!(info["Runtimes"]["foo"]["path"], "/bin/true");
    assert_eq!(info["RegistryConfig"]["Mirrors"], json!(["https://m"]));
    let cidrs = info["RegistryConfig"]["InsecureRegistryCIDRs"]
        .as_array()
        .expect("a list");
    assert!(cidrs.contains(&json!("10.0.0.0/8")), "{cidrs:?}");
    // A file that has become wrong changes nothing.
    std::fs::write(host.dir().join("daemon.json"), "{\"labels\": [1").expect("a file");
    signal(&host, nix::sys::signal::Signal::SIGHUP);
    eventually("the mistake is in the log", Duration::from_secs(10), || {
        host.log()
            .contains("the configuration is not reloaded")
            .then_some(())
    });
    assert_eq!(
        host.api("GET", "/v1.44/info", None).json()["Labels"],
        json!(["a=b", "c=e"])
    );
    assert_eq!(reloads(&host).len(), 1);
    // What it is doing, in a file, while it goes on.
    signal(&host, nix::sys::signal::Signal::SIGUSR1);
    let report = eventually("a report is written", Duration::from_secs(10), || {
        let entries = std::fs::read_dir(host.dir().join("run")).ok()?.flatten();
        let mut files = entries.filter(|e| e.file_name().to_string_lossy().starts_with("task-states-"));
        std::fs::read_to_string(files.next()?.path())
            .ok()
            .filter(|t| t.contains("threads:"))
    });
    assert!(report.contains("containers: 0"), "{report}");
    signal(&host, nix::sys::signal::Signal::SIGQUIT);
    assert_eq!(host.api("GET", "/_ping", None).status, 200);
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn the_end_by_signals_and_a_second_daemon() {
    let mut world = World::new();
    let mut host = host(&mut world, &json!({}));
    host.start();
    let pidfile = host.dir().join("shoald.pid");
    let pid: u32 = std::fs::read_to_string(&pidfile)
        .expect("a pid file")
        .parse()
        .expect("a pid");
    let out = host
        .command(binary("shoald"))
        .args([
            "-H",
            "unix:///tmp/shoal-never.sock",
            "--data-root",
            "/tmp/shoal-never",
            "--exec-root",
            "/tmp/shoal-never",
        ])
        .arg("--pidfile")
        .arg(&pidfile)
        .output()
        .expect("shoald runs");
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr).trim_end().to_owned();
    let text = format!(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running",
        pidfile.display()
    );
    assert!(said.ends_with(&text), "{said}");
    assert_eq!(host.api("GET", "/_ping", None).status, 200);
    assert_eq!(host.stop(), Some(0));
    assert!(!pidfile.exists() && !host.socket().exists());
    // SIGINT ends it in order too.
    host.start();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(host.daemon_pid().expect("a daemon")).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("a signal");
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn settings_reach_containers() {
    let mut world = World::new();
    let config = json!({
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1234, "Hard": 2345}}, "no-new-privileges": true,
        "default-shm-size": "8M", "bip": "10.201.0.1/24", "fixed-cidr": "10.201.0.128/25", "mtu": 1380,
        "default-address-pools": [{"base": "10.202.0.0/16", "size": 26}], "log-opts": {"max-size": "1m"},
        "default-ipc-mode": "shareable", "dns": ["9.9.9.9"]
    });
    let mut host = host(&mut world, &config);
    host.start();
    let tar = shoal_tests_harness::busybox_tar().display().to_string();
    host.docker_ok(&["import", &tar, IMAGE]);
    let script = "ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status | tr -dc 01; echo; df -k /dev/shm | tail -1 | awk \
                  '{print $2}'; ip -4 -o addr show eth0 | awk '{print $4}'; cat /sys/class/net/eth0/mtu; grep ^nameserver \
                  /etc/resolv.conf";
    let out = host.docker_ok(&["run", "--rm", IMAGE, "sh", "-c", script]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "1234",
            "2345",
            "1",
            "8192",
            "10.201.0.128/24",
            "1380",
            "nameserver 9.9.9.9"
        ]
    );
    host.docker_ok(&["network", "create", "n"]);
    let subnet = host.docker_ok(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Subnet}}",
        "n",
    ]);
    assert_eq!(subnet.trim(), "10.202.0.0/26");
    let id = host.docker_ok(&["create", IMAGE, "true"]);
    let made = host.docker_ok(&[
        "inspect",
        "-f",
        "{{.HostConfig.IpcMode}} {{.HostConfig.LogConfig}}",
        id.trim(),
    ]);
    assert_eq!(made.trim(), "shareable {json-file map[max-size:1m]}");
    let info = host.api("GET", "/v1.44/info", None).json();
    assert_eq!(
        info["DefaultAddressPools"],
        json!([{"Base": "10.202.0.0/16", "Size": 26}])
    );
    assert!(
        info["SecurityOptions"]
            .to_string()
            .contains("name=no-new-privileges"),
        "{info}"
    );
}

#[test]
fn an_older_minimum_and_none_below_it() {
    let mut world = World::new();
    let mut host = host(&mut world, &json!({"min-api-version": "1.41"}));
    host.start();
    let refused = host.api("GET", "/v1.40/version", None);
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.message(),
        "client version 1.40 is too old. Minimum supported API version is 1.41, please upgrade your client to a newer version"
    );
    let version = host.api("GET", "/v1.41/version", None).json();
    assert_eq!(version["MinAPIVersion"], "1.41");
}

/// As systemd starts it: a socket that it already listens on, and somebody to be told.
#[test]
fn systemd_passes_the_socket_and_is_told() {
    let mut world = World::new();
    let host = world.host();
    std::fs::create_dir_all(host.dir()).expect("a folder");
    let (socket, notify) = (host.dir().join("given.sock"), host.dir().join("notify"));
    let listener = UnixListener::bind(&socket).expect("a socket");
    let told = UnixDatagram::bind(&notify).expect("a socket");
    told.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let log = std::fs::File::create(host.dir().join("log")).expect("a log");
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec nsenter --net=/run/netns/$NETNS -- \"$@\"", "sh"])
        .arg(binary("shoald"))
        .args(["-H", "fd://"])
        .arg("--data-root")
        .arg(host.data_root())
        .arg("--exec-root")
        .arg(host.dir().join("run"))
        .arg("--pidfile")
        .arg(host.dir().join("shoald.pid"))
        .env("NETNS", &host.netns)
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(log);
    let mut daemon = command.spawn().expect("shoald starts");
    let mut text = [0; 200];
    let mut hear = || {
        let count = told
            .recv(&mut text)
            .unwrap_or_else(|e| panic!("{e}: {}", host.log()));
        String::from_utf8_lossy(&text[..count]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!(
        request(&socket, "GET", "/_ping", None).expect("an answer").text(),
        "OK"
    );
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("a signal");
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), "READY=1");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a signal");
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(daemon.wait().expect("an end").code(), Some(0));
    // The socket is systemd's: it is still there for the next daemon.
    assert!(socket.exists());
    let mut rest = String::new();
    let _ = std::fs::File::open(host.dir().join("log")).and_then(|mut f| f.read_to_string(&mut rest));
    assert!(!rest.contains("panicked"), "{rest}");
}

/// Units that are shipped name our program and the socket that clients look for.
#[test]
fn units_are_there() {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let service = std::fs::read_to_string(deploy.join("shoald.service")).expect("a service");
    let socket = std::fs::read_to_string(deploy.join("shoald.socket")).expect("a socket");
    for line in [
        "Type=notify",
        "Requires=shoald.socket",
        "Delegate=yes",
        "KillMode=process",
    ] {
        assert!(service.lines().any(|l| l == line), "{line}");
    }
    assert!(service.contains("shoald -H fd://") && socket.contains("ListenStream=/run/docker.sock"));
}
