//! The API over TCP with TLS client verification, and what is refused.

use shoal_tests_harness::{World, docker, run, run_ok};
use std::path::Path;
use std::process::Command;

/// A CA, a server certificate for `address` and a client certificate, as PEM files in `dir`.
fn certificates(dir: &Path, address: &str) {
    let script = format!(
        "set -e; cd {}; k() {{ openssl ecparam -genkey -name prime256v1 -noout -out $1; }}
         k ca-key.pem; openssl req -x509 -new -key ca-key.pem -subj /CN=test-ca -days 2 -out ca.pem
         for n in server client; do k $n-key.pem; openssl req -new -key $n-key.pem -subj /CN=$n -out $n.csr; done
         printf 'subjectAltName=IP:{address}\\nextendedKeyUsage=serverAuth\\n' > s.ext; printf 'extendedKeyUsage=clientAuth\\n' > c.ext
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile s.ext -out server.pem
         openssl x509 -req -in client.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile c.ext -out client.pem",
        dir.display()
    );
    run_ok(Command::new("sh").args(["-c", &script]));
}

#[test]
fn tls_with_a_client_certificate_works_and_without_is_refused() {
    let mut world = World::new();
    let mut host = world.host();
    let dir = host.dir().to_path_buf();
    certificates(&dir, &host.address);
    let file = |name: &str| dir.join(name).display().to_string();
    let url = format!("tcp://{}:2376", host.address);
    host.args = [
        "-H",
        &url,
        "--tlsverify",
        "--tlscacert",
        &file("ca.pem"),
        "--tlscert",
        &file("server.pem"),
        "--tlskey",
        &file("server-key.pem"),
    ]
    .map(str::to_owned)
    .to_vec();
    host.start();
    let client = |with: bool| {
        let mut command = host.command(docker());
        command.args(["-H", &url, "--tlsverify", "--tlscacert", &file("ca.pem")]);
        if with {
            command.args([
                "--tlscert",
                &file("client.pem"),
                "--tlskey",
                &file("client-key.pem"),
            ]);
        } else {
            // Without a default certificate either.
            command.env("DOCKER_CERT_PATH", host.dir().join("none"));
        }
        command.env("HOME", host.dir());
        command.args(["version", "--format", "{{.Server.APIVersion}}"]);
        command
    };
    assert_eq!(run_ok(&mut client(true)), "1.55");
    let curl = |extra: &[&str]| {
        run(host
            .command("curl")
            .args(["-s", "--cacert", &file("ca.pem")])
            .args(extra)
            .arg(format!("https://{}:2376/_ping", host.address)))
    };
    let out = curl(&["--cert", &file("client.pem"), "--key", &file("client-key.pem")]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "OK");
    assert!(!curl(&[]).status.success(), "no certificate, no answer");
    assert!(
        !run(host
            .command("curl")
            .args(["-s", "-m", "5", &format!("http://{}:2376/_ping", host.address)]))
        .stdout
        .starts_with(b"OK"),
        "plain HTTP is not served"
    );
}

#[test]
fn plain_tcp_is_refused_unless_asked_for() {
    let mut world = World::new();
    let mut host = world.host();
    host.args = vec!["-H".into(), "tcp://0.0.0.0:2375".into()];
    host.spawn();
    let code = shoal_tests_harness::eventually("it refuses", std::time::Duration::from_secs(10), || {
        (!host.log().is_empty() && host.processes().is_empty()).then(|| host.stop())
    });
    assert_eq!(code, Some(1), "{}", host.log());
    assert!(host.log().contains("--tlsverify"), "{}", host.log());
    host.args = vec!["-H".into(), "tcp://127.0.0.1:2375".into()];
    host.start();
    assert_eq!(
        run_ok(host.command(docker()).args([
            "-H",
            "tcp://127.0.0.1:2375",
            "version",
            "--format",
            "{{.Server.Os}}"
        ])),
        "linux"
    );
}
