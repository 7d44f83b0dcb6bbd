//! What a container's process sees.

use crate::setup::*;
use shoal_api_backend::{Class, System as _, Volumes as _};
use shoal_api_types::Slice;
use shoal_api_types::container::{Config as Wish, HostConfig, PortBinding, Resources};
use shoal_api_types::mount::Mount;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn identity_environment_and_directory() {
    let lab = Lab::new();
    let wish = Wish {
        user: "web".into(),
        working_dir: "/made/for/it".into(),
        env: list(&["A=1", "PATH=/bin"]).into(),
        hostname: "box".into(),
        ..sh("id -u; id -g; id -G; pwd; hostname; echo $A $HOME $HOSTNAME")
    };
    let (code, text) = lab.output_as(wish, HostConfig::default());
    assert_eq!(
        (code, text.as_str()),
        (0, "101\n102\n102 29\n/made/for/it\nbox\n1 /srv box\n")
    );
    let wish = Wish {
        user: "nobody".into(),
        ..cmd(&["true"])
    };
    let error = lab
        .start("", wish, HostConfig::default())
        .expect_err("no such user");
    assert!(
        error.message.contains("unable to find user nobody"),
        "{}",
        error.message
    );
}

#[test]
fn capabilities_seccomp_and_privileges() {
    let lab = Lab::new();
    let status = |host: HostConfig, user: &str| {
        let wish = Wish {
            user: user.into(),
            ..sh("grep -E 'Cap|NoNew|Seccomp:' /proc/self/status")
        };
        lab.output_as(wish, host).1
    };
    let plain = status(HostConfig::default(), "");
    for line in [
        "CapEff:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
    ] {
        assert!(plain.contains(line), "{line} in {plain}");
    }
    let other = status(HostConfig::default(), "1000");
    assert!(
        other.contains("CapEff:\t0000000000000000") && other.contains("CapBnd:\t00000000a80425fb"),
        "{other}"
    );
    let options = list(&["no-new-privileges", "seccomp=unconfined"]).into();
    let open = status(
        HostConfig {
            security_opt: options,
            cap_drop: list(&["ALL"]).into(),
            ..HostConfig::default()
        },
        "",
    );
    assert!(
        open.contains("NoNewPrivs:\t1")
            && open.contains("Seccomp:\t0")
            && open.contains("CapBnd:\t0000000000000000"),
        "{open}"
    );
    let id = lab
        .start("", cmd(&["sleep", "100"]), HostConfig::default())
        .expect("started");
    let exec = lab
        .exec(&id, &["grep", "-E", "CapEff|Seccomp:", "/proc/self/status"])
        .1;
    assert!(
        exec.contains("00000000a80425fb") && exec.contains("Seccomp:\t2"),
        "an exec has the same: {exec}"
    );
}

#[test]
fn limits_reach_the_kernel() {
    let lab = Lab::new();
    let resources = Resources {
        memory: 32 << 20,
        pids_limit: Some(30),
        nano_cpus: 500_000_000,
        ..Resources::default()
    };
    let host = HostConfig {
        resources,
        ..HostConfig::default()
    };
    let id = lab.start("", cmd(&["sleep", "100"]), host).expect("started");
    let stats = lab.run(async |e| {
        let mut stream = e.containers.stats(&id, false, true).await.expect("a stream");
        futures_util::StreamExt::next(&mut stream)
            .await
            .expect("a sample")
            .expect("no error")
    });
    assert_eq!((stats.memory_stats.limit, stats.pids_stats.limit), (32 << 20, 30));
    let resources = Resources {
        memory: 1024,
        ..Resources::default()
    };
    let tiny = lab
        .create(
            "",
            cmd(&["true"]),
            HostConfig {
                resources,
                ..HostConfig::default()
            },
        )
        .expect_err("too little");
    assert_eq!(
        (tiny.class, tiny.message.as_str()),
        (Class::InvalidParameter, "Minimum memory limit allowed is 6MB")
    );
    let top = lab
        .run(async |e| e.containers.top(&id, "").await)
        .expect("processes");
    assert_eq!(top.processes.len(), 1);
    assert_eq!(top.processes[0].last().map(String::as_str), Some("sleep 100"));
}

#[test]
fn mounts_of_every_kind() {
    let lab = Lab::new();
    let host_dir = lab.data().parent().expect("a parent").join("shared");
    std::fs::create_dir(&host_dir).expect("made");
    let host = HostConfig {
        binds: vec![
            format!("{}:/host:ro", host_dir.display()),
            "named:/data".into(),
            "/anon".into(),
        ]
        .into(),
        tmpfs: [("/scratch", "size=1m".to_string())].into_iter().collect(),
        mounts: vec![Mount {
            kind: "tmpfs".into(),
            target: "/typed".into(),
            ..Mount::default()
        }]
        .into(),
        ..HostConfig::default()
    };
    let script = "cat /data/seed; stat -c '%u %a' /data; (echo x > /host/f) 2>/dev/null || echo refused; echo y > /data/f; \
                  grep -cE ' /(scratch|typed) tmpfs' /proc/mounts";
    let (code, text) = lab.output(script, host);
    assert_eq!(code, 0);
    assert_eq!(text.lines().next(), Some("from the image"), "{text}");
    assert!(
        text.contains("7 750") && text.contains("refused") && text.ends_with("2\n"),
        "{text}"
    );
    let volumes = lab
        .run(async |e| e.volumes.list(Default::default()).await)
        .expect("a list")
        .volumes;
    assert_eq!(
        volumes.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
        ["named"],
        "the anonymous one went along"
    );
    assert_eq!(
        std::fs::read_to_string(lab.data().join("volumes/named/_data/f")).expect("kept"),
        "y\n"
    );
    let user = lab
        .create(
            "user",
            cmd(&["true"]),
            HostConfig {
                binds: list(&["named:/d"]).into(),
                ..Default::default()
            },
        )
        .expect("created");
    let busy = lab
        .run(async |e| e.volumes.remove("named", false).await)
        .expect_err("in use");
    assert_eq!(
        (busy.class, busy.message),
        (
            Class::Conflict,
            format!("remove named: volume is in use - [{user}]")
        )
    );
    let typed = Mount {
        kind: "bind".into(),
        source: "/nonexistent".into(),
        target: "/x".into(),
        ..Mount::default()
    };
    let missing = lab.create(
        "",
        cmd(&["true"]),
        HostConfig {
            mounts: vec![typed].into(),
            ..Default::default()
        },
    );
    assert!(
        missing
            .expect_err("no source")
            .message
            .contains("bind source path does not exist: /nonexistent")
    );
}

#[test]
fn networks_and_published_ports() {
    let lab = Lab::new();
    let mut host = HostConfig::default();
    host.port_bindings
        .insert("80/tcp", Slice::from(vec![PortBinding::default()]));
    let id = lab
        .start(
            "web",
            sh("echo hello > /tmp/i; httpd -f -p 80 -h /tmp"),
            host.clone(),
        )
        .expect("started");
    let seen = lab
        .run(async |e| e.containers.inspect(&id, false).await)
        .expect("known")
        .network_settings;
    let port: u16 = seen.ports.get("80/tcp").expect("published")[0]
        .host_port
        .parse()
        .expect("a port");
    let mut answer = String::new();
    for _ in 0..50 {
        answer.clear();
        let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut c| {
            c.set_read_timeout(Some(Duration::from_secs(2)))?;
            c.write_all(b"GET /i HTTP/1.0\r\n\r\n")?;
            c.read_to_string(&mut answer)
        });
        if asked.is_ok() && answer.ends_with("hello\n") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(answer.ends_with("hello\n"), "{answer}");
    host.port_bindings.insert(
        "80/tcp",
        Slice::from(vec![PortBinding {
            host_port: port.to_string(),
            ..Default::default()
        }]),
    );
    let taken = lab.start("other", cmd(&["true"]), host).expect_err("taken");
    assert!(
        taken.message.contains("port is already allocated"),
        "{}",
        taken.message
    );
    let joined = HostConfig {
        network_mode: format!("container:{id}"),
        ..HostConfig::default()
    };
    assert_eq!(
        lab.output("wget -qO- http://127.0.0.1/i", joined),
        (0, "hello\n".into())
    );
    // Another engine's chain may drop what is forwarded; `info` says so, and nothing of ours can lift it.
    let warned = lab
        .run(async |e| e.system.info().await)
        .expect("info")
        .warnings
        .iter()
        .any(|w| w.contains("drops forwarded"));
    if !warned {
        let address = &seen.networks.get("bridge").expect("on the bridge").ip_address;
        let other = format!("wget -qO- http://{address}/i");
        assert_eq!(
            lab.output(&other, HostConfig::default()),
            (0, "hello\n".into()),
            "over the bridge"
        );
    }
    let alone = HostConfig {
        network_mode: "none".into(),
        ..HostConfig::default()
    };
    let (_, links) = lab.output("ip -o link | grep -c .; ip -o link | grep -c UP", alone);
    assert_eq!(links, "1\n1\n", "loopback, and up");
}
