//! Drivers that send a log elsewhere, each with a socket of the test's at the far end; and reading back what was sent.
//!
//! The sockets are in the daemon's network: `SHOAL_CONFORMANCE_NETNS=NAME` says which that is for a reference
//! engine that has one of its own.

use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::eventually;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Heard = Arc<Mutex<Vec<u8>>>;

/// Does `work` in the daemon's network: sockets made there stay there.
fn there<T: Send + 'static>(e: &mut Engine, work: impl FnOnce() -> T + Send + 'static) -> T {
    let netns = e.host().map(|host| format!("/run/netns/{}", host.netns));
    let named = std::env::var("SHOAL_CONFORMANCE_NETNS").ok();
    let netns = netns.or(named.map(|name| format!("/run/netns/{name}")));
    let thread = std::thread::spawn(move || {
        if let Some(path) = netns {
            let file = std::fs::File::open(&path).expect("the daemon's network");
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).expect("entered");
        }
        work()
    });
    thread.join().expect("a socket there")
}

fn listening(listener: TcpListener) -> Heard {
    let heard = Heard::default();
    let all = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let all = all.clone();
            std::thread::spawn(move || {
                let (mut stream, mut buffer) = (stream, [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    all.lock().expect("bytes").extend_from_slice(&buffer[..count]);
                }
            });
        }
    });
    heard
}

fn tcp(e: &mut Engine, port: u16) -> (u16, Heard) {
    let listener = there(e, move || TcpListener::bind(("127.0.0.1", port)).expect("a port"));
    (
        listener.local_addr().expect("an address").port(),
        listening(listener),
    )
}

fn udp(e: &mut Engine) -> (u16, Heard) {
    let socket = there(e, || UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let port = socket.local_addr().expect("an address").port();
    let (heard, mut buffer) = (Heard::default(), vec![0; 65536]);
    let all = heard.clone();
    std::thread::spawn(move || {
        while let Ok(count) = socket.recv(&mut buffer) {
            let mut all = all.lock().expect("bytes");
            all.extend_from_slice(&buffer[..count]);
            all.push(0);
        }
    });
    (port, heard)
}

/// Waits until the far end has these words, and returns all it has.
fn heard(what: &str, heard: &Heard, words: &[&str]) -> String {
    eventually(what, Duration::from_secs(20), || {
        let text = String::from_utf8_lossy(&heard.lock().expect("bytes")).into_owned();
        words.iter().all(|word| text.contains(word)).then_some(text)
    })
}

/// A container that says something on both streams and goes on, with what a log may be told of it.
fn speak(e: &Engine, what: &str, options: &[&str]) -> String {
    let name = e.name(what);
    let mut args = vec![
        "run",
        "-d",
        "--name",
        &name,
        "--stop-signal",
        "KILL",
        "--label",
        "colour=red",
        "--env",
        "HUE=blue",
    ];
    for option in options {
        args.extend(["--log-opt", option]);
    }
    let driver = format!("--log-driver={}", what.split('-').next().unwrap_or(what));
    args.extend([
        &*driver,
        IMAGE,
        "sh",
        "-c",
        "echo spoken; sleep 0.2; echo wailed >&2; sleep 1000",
    ]);
    e.ok(&args);
    name
}

/// `docker logs` reads what was sent elsewhere.
fn reads_back(e: &Engine, name: &str) {
    let both = |args: &[&str]| {
        let out = e.docker(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&out.stdout), text(&out.stderr))
    };
    let want = || ("spoken\n".to_owned(), "wailed\n".to_owned());
    eventually("the log is read back", Duration::from_secs(10), || {
        (both(&["logs", name]) == want()).then_some(())
    });
    assert_eq!(both(&["logs", "--tail", "1", name]).0, "");
    let (code, out, _) = e.code(&["logs", "-t", name]);
    assert!(code == 0 && out.ends_with("Z spoken"), "{out}");
    e.ok(&["rm", "-f", name]);
}

#[test]
fn syslog_in_its_formats_and_over_its_transports() {
    let mut e = Engine::start();
    let (port, all) = tcp(&mut e, 0);
    let address = format!("syslog-address=tcp://127.0.0.1:{port}");
    let tag = "tag={{.Name}}/{{.ImageName}}";
    let name = speak(
        &e,
        "syslog-tcp",
        &[
            &address,
            "syslog-format=rfc5424micro",
            "syslog-facility=local3",
            tag,
        ],
    );
    let text = heard("rfc5424micro over TCP", &all, &["spoken\n", "wailed\n"]);
    let shown = format!("{name}/{IMAGE}");
    for (line, priority) in text.lines().zip(["<158>1", "<155>1"]) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            (words[0], words[3], words[5], words[6]),
            (priority, &*shown, &*shown, "-"),
            "{text}"
        );
        assert!(
            words[1].len() >= 27 && words[1].contains('.') && words[4].parse::<u32>().is_ok(),
            "{text}"
        );
    }
    reads_back(&e, &name);
    let (port, all) = udp(&mut e);
    let address = format!("syslog-address=udp://127.0.0.1:{port}");
    let name = speak(&e, "syslog-udp", &[&address, "syslog-format=rfc3164"]);
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]);
    let text = heard("rfc3164 over UDP", &all, &["spoken", "wailed"]);
    assert!(text.starts_with("<30>") && text.contains("<27>"), "{text}");
    assert!(text.contains(&format!(" {}[", &id[..12])), "{text}");
    reads_back(&e, &name);
}

#[test]
fn gelf_over_udp_and_tcp() {
    let mut e = Engine::start();
    for transport in ["tcp", "udp"] {
        let (port, all) = if transport == "tcp" {
            tcp(&mut e, 0)
        } else {
            udp(&mut e)
        };
        let address = format!("gelf-address={transport}://127.0.0.1:{port}");
        let mut options = vec![&*address, "labels=colour", "env=HUE", "tag=t-{{.ID}}"];
        options.extend((transport == "udp").then_some("gelf-compression-type=none"));
        let name = speak(&e, &format!("gelf-{transport}"), &options);
        let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]);
        let text = heard("GELF", &all, &["spoken", "wailed"]);
        let messages: Vec<serde_json::Value> = text
            .split('\0')
            .filter(|m| !m.is_empty())
            .map(|m| serde_json::from_str(m).unwrap_or_else(|e| panic!("{e}: {m}")))
            .collect();
        for (message, (said, level)) in messages.iter().zip([("spoken", 6), ("wailed", 3)]) {
            assert_eq!(message["version"], "1.1");
            assert_eq!(
                (message["short_message"].as_str(), message["level"].as_i64()),
                (Some(said), Some(level))
            );
            assert_eq!(message["_container_id"], *id);
            assert_eq!(message["_container_name"], *name);
            assert_eq!(message["_image_name"], IMAGE);
            assert_eq!(
                (&message["_colour"], &message["_HUE"]),
                (&"red".into(), &"blue".into())
            );
            assert_eq!(message["_tag"], format!("t-{}", &id[..12]));
            assert!(
                message["timestamp"].as_f64().is_some_and(|t| t > 1e9),
                "{message}"
            );
        }
        reads_back(&e, &name);
    }
}

#[test]
fn fluentd_by_its_forward_protocol() {
    let mut e = Engine::start();
    let (port, all) = tcp(&mut e, 0);
    let address = format!("fluentd-address=127.0.0.1:{port}");
    let name = speak(
        &e,
        "fluentd-tcp",
        &[&address, "labels=colour", "env=HUE", "tag=mine.{{.Name}}"],
    );
    heard(
        "forwarded records",
        &all,
        &["spoken", "wailed", "stdout", "stderr"],
    );
    let bytes = all.lock().expect("bytes").clone();
    let has = |key: &str, value: &str| {
        // Short strings of MessagePack: one byte with the length before each.
        let mut pair = vec![0xa0 | key.len() as u8];
        pair.extend_from_slice(key.as_bytes());
        match value.len() {
            n @ 0..32 => pair.push(0xa0 | n as u8),
            n => pair.extend_from_slice(&[0xd9, n as u8]),
        }
        pair.extend_from_slice(value.as_bytes());
        bytes.windows(pair.len()).any(|w| w == pair)
    };
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]);
    for (key, value) in [
        ("container_id", &*id),
        ("container_name", &format!("/{name}")),
        ("source", "stdout"),
        ("source", "stderr"),
        ("log", "spoken"),
        ("log", "wailed"),
        ("colour", "red"),
        ("HUE", "blue"),
    ] {
        assert!(
            has(key, value),
            "{key}={value}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
    let tag = format!("mine.{name}");
    assert!(
        [0x93, 0x94].contains(&bytes[0]),
        "a list of tag, time, record, and perhaps options"
    );
    assert!(String::from_utf8_lossy(&bytes).contains(&tag));
    reads_back(&e, &name);
}

#[test]
fn journald_by_its_native_protocol() {
    let e = Engine::start();
    let path = std::path::Path::new("/run/systemd/journal/socket");
    // A machine with a journal has it; ours are containers, and there is room for a socket of the test's.
    if e.is_reference() || path.exists() {
        return;
    }
    let made = !path.parent().expect("a folder").exists();
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let socket = UnixDatagram::bind(path).expect("a socket");
    let all = Heard::default();
    let into = all.clone();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(count) = socket.recv(&mut buffer) {
            into.lock().expect("bytes").extend_from_slice(&buffer[..count]);
        }
    });
    let name = speak(&e, "journald-x", &["labels=colour", "env=HUE", "tag={{.Name}}"]);
    let text = heard(
        "the journal's fields",
        &all,
        &["MESSAGE=spoken\n", "MESSAGE=wailed\n"],
    );
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]);
    for line in [
        format!("CONTAINER_ID_FULL={id}"),
        format!("CONTAINER_ID={}", &id[..12]),
        format!("CONTAINER_NAME={name}"),
        format!("CONTAINER_TAG={name}"),
        format!("IMAGE_NAME={IMAGE}"),
        format!("SYSLOG_IDENTIFIER={name}"),
        "COLOUR=red".into(),
        "HUE=blue".into(),
        "PRIORITY=6".into(),
        "PRIORITY=3".into(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    reads_back(&e, &name);
    let _ = std::fs::remove_file(path);
    if made {
        let _ = std::fs::remove_dir_all("/run/systemd/journal");
        let _ = std::fs::remove_dir("/run/systemd");
    }
}

/// A sink that is away stalls nobody. What the ring could not keep for it is counted, and told once it is back.
#[test]
fn a_sink_that_is_away_costs_counted_lines_and_nothing_else() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let port = 18514;
    let address = format!("syslog-address=tcp://127.0.0.1:{port}");
    let name = e.name("away");
    let script = "i=0; while [ $i -lt 40000 ]; do echo line $i of those that nobody takes; i=$((i+1)); done; touch /done; sleep 1000";
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "--stop-signal",
        "KILL",
        "--log-driver=syslog",
        "--log-opt",
        &address,
        "--log-opt",
        "cache-max-size=100k",
        "--log-opt",
        "cache-max-file=2",
        "--log-opt",
        "cache-compress=false",
        IMAGE,
        "sh",
        "-c",
        script,
    ]);
    eventually("the container is not stalled", Duration::from_secs(30), || {
        e.docker(&["exec", &name, "test", "-e", "/done"])
            .status
            .success()
            .then_some(())
    });
    let (_, all) = tcp(&mut e, port);
    let text = heard(
        "the last line",
        &all,
        &["line 39999 of those that nobody takes\n"],
    );
    let arrived = text.lines().count();
    let told = eventually("the loss is told", Duration::from_secs(10), || {
        let out = e.ok(&[
            "events",
            "--since",
            "10m",
            "--until",
            "0s",
            "--filter",
            "event=log_lost",
            "--format",
            "{{json .Actor.Attributes}}",
        ]);
        (!out.is_empty()).then_some(out)
    });
    let lost: usize = told
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["records"]
                .as_str()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        })
        .sum();
    assert!(arrived < 40000 && lost > 0, "{arrived} arrived, {lost} lost");
    assert_eq!(arrived + lost, 40000, "every line is sent or counted: {told}");
    e.ok(&["rm", "-f", &name]);
}
