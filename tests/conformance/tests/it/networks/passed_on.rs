//! Published ports of containers without IPv6, for clients that come by it; and `::1`, which no packet rule leads on from.

use super::Lab;
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{Host, eventually};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
const SIX: &str = "fd84:77::1";
/// Answers each datagram with itself and `!`.
const ECHO: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 5353))
while True:
    data, who = s.recvfrom(2000)
    s.sendto(data + b'!', who)
";
const ASK: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], int(sys.argv[2])))
for n in range(3):
    s.send(b'%d' % n)
    print(s.recv(100).decode(), end=' ')
";

/// curl's end: 0 where the page came, 7 where the connection was refused.
fn get(host: &Host, url: &str) -> Option<i32> {
    let args = ["-gfs", "--max-time", "3", url];
    let out = host.command("curl").args(args).output().unwrap();
    match out.status.success() && out.stdout != b"hello\n" {
        true => None,
        false => out.status.code(),
    }
}

fn await_end(host: &Host, url: &str, code: i32) {
    eventually(&format!("{url} ends with {code}"), LIMIT, || {
        (get(host, url) == Some(code)).then_some(())
    });
}

#[test]
fn a_container_without_ipv6_is_published_at_it_all_the_same() {
    let mut e = Engine::start();
    {
        let mut lab = Lab::new(&e);
        let net = lab.network("pub4", &[]);
        let c = lab.run(
            "pub4c",
            &[
                "--network",
                &net,
                "-p",
                "18330:8080",
                "-p",
                "[::1]:18331:8080",
                "-p",
                "0.0.0.0:18332:8080",
                "-p",
                "18333:5353/udp",
            ],
        );
        let ports = lab.inspect(&c)["NetworkSettings"]["Ports"].clone();
        let shown = |port: &str| -> BTreeSet<String> {
            let all = ports[port].as_array().into_iter().flatten();
            all.map(|b| {
                format!(
                    "{} {}",
                    b["HostIp"].as_str().unwrap(),
                    b["HostPort"].as_str().unwrap()
                )
            })
            .collect()
        };
        let wanted = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(
            shown("8080/tcp"),
            wanted(&["0.0.0.0 18330", ":: 18330", "::1 18331", "0.0.0.0 18332"])
        );
        assert_eq!(shown("5353/udp"), wanted(&["0.0.0.0 18333", ":: 18333"]));
        let told = e.ok(&["port", &c, "5353/udp"]);
        assert_eq!(
            told.lines().collect::<BTreeSet<_>>(),
            ["0.0.0.0:18333", "[::]:18333"].into()
        );
    }
    let Some(host) = e.host() else { return };
    let line = format!("address add {SIX}/64 dev eth0 nodad");
    let done = Command::new("ip")
        .args(["-n", &host.netns])
        .args(line.split(' '))
        .status();
    assert!(done.unwrap().success());
    let serve = |host: &Host| {
        host.docker_ok(&[
            "run",
            "-d",
            "--name",
            "four",
            "-p",
            "18340:8080",
            "-p",
            "[::1]:18341:8080",
            "-p",
            "18342:5353/udp",
            IMAGE,
            "httpd",
            "-f",
            "-p",
            "8080",
            "-h",
            "/www",
        ]);
    };
    serve(host);
    let all = [
        "http://[::1]:18340/".to_owned(),
        "http://[::1]:18341/".to_owned(),
        format!("http://[{SIX}]:18340/"),
        "http://127.0.0.1:18340/".to_owned(),
    ];
    let check = |host: &Host| all.iter().for_each(|url| await_end(host, url, 0));
    check(host);
    // One address alone is one address alone.
    await_end(host, &format!("http://[{SIX}]:18341/"), 7);
    let pid = host.docker_ok(&["inspect", "-f", "{{.State.Pid}}", "four"]);
    let mut echo = Command::new("nsenter")
        .args([
            &format!("--net=/proc/{}/ns/net", pid.trim()),
            "python3",
            "-c",
            ECHO,
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for address in ["::1", SIX] {
        eventually(&format!("datagrams to {address} are answered"), LIMIT, || {
            let args = ["-c", ASK, address, "18342"];
            let out = host.command("python3").args(args).output().unwrap();
            (out.stdout == b"0! 1! 2! ").then_some(())
        });
    }
    echo.kill().unwrap();
    echo.wait().unwrap();
    let shoal = std::env::var("SHOAL_TEST_BIN")
        .map(|dir| format!("{dir}/shoal"))
        .unwrap();
    let url = host.url();
    let told = host.command(&shoal).args(["-H", &url, "ports"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let passed = |at: &str| {
        told.lines()
            .any(|l| l.contains(at) && l.contains("passed on to IPv4 by the daemon"))
    };
    assert!(
        passed("[::]:18340") && passed("[::1]:18341") && !passed("0.0.0.0:18340"),
        "{told}"
    );

    // Where the container moves to.
    host.docker_ok(&["network", "create", "elsewhere"]);
    host.docker_ok(&["network", "connect", "elsewhere", "four"]);
    host.docker_ok(&["network", "disconnect", "bridge", "four"]);
    check(host);
    host.docker_ok(&["network", "disconnect", "elsewhere", "four"]);
    await_end(host, &all[0], 7);
    host.docker_ok(&["network", "connect", "bridge", "four"]);
    check(host);
    // A daemon that starts again listens again.
    host.kill();
    host.start();
    check(host);
    // What ends is free at once for whoever comes next.
    for _ in 0..3 {
        host.docker_ok(&["rm", "-f", "four"]);
        serve(host);
        check(host);
    }
    host.docker_ok(&["stop", "-t", "0", "four"]);
    for url in &all[..3] {
        await_end(host, url, 7);
    }
    host.docker_ok(&["rm", "four"]);

    // Told not to, the daemon passes nothing on.
    host.stop();
    host.args.push("--userland-proxy=false".into());
    host.start();
    serve(host);
    await_end(host, &all[3], 0);
    for url in &all[..3] {
        await_end(host, url, 7);
    }
    let told = host.docker_ok(&["port", "four", "8080/tcp"]);
    assert_eq!(told.trim(), "0.0.0.0:18340");
    host.docker_ok(&["rm", "-f", "four"]);
}
