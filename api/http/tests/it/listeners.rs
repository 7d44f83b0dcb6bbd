use crate::fake;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use shoal_api_http::{Listener, Serving, TlsFiles, router, serve};
use std::path::Path;
use std::process::Command;
use tokio_util::sync::CancellationToken;

fn issue(dir: &Path, ca: &CertifiedIssuer<'static, KeyPair>, name: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    std::fs::write(
        dir.join(format!("{name}.pem")),
        params.signed_by(&key, ca).unwrap().pem(),
    )
    .unwrap();
    std::fs::write(dir.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
}

fn authority(dir: &Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Told from what it signs by its name.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("authority {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), ca.pem()).unwrap();
    ca
}

/// curl, which knows nothing of us.
async fn curl(dir: &Path, port: u16, more: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .current_dir(dir)
        .args(["-sS", "--max-time", "10", "--cacert", "ca.pem"])
        .args(more);
    command.arg(format!("https://localhost:{port}/_ping"));
    let output = tokio::task::spawn_blocking(move || command.output().expect("curl runs"))
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_wants_a_client_certificate_of_its_own_authority() {
    let dir = tempfile::tempdir().unwrap();
    let ca = authority(dir.path(), "ca");
    issue(dir.path(), &ca, "server");
    issue(dir.path(), &ca, "client");
    let stranger = authority(dir.path(), "other-ca");
    issue(dir.path(), &stranger, "stranger");
    let file = |name: &str| dir.path().join(name);
    let mut files = TlsFiles {
        certificate: file("server.pem"),
        key: file("server-key.pem"),
        ca: Some(file("ca.pem")),
    };
    let shutdown = CancellationToken::new();
    let mut ports = Vec::new();
    for ca in [Some(file("ca.pem")), None] {
        files.ca = ca;
        let listener = Listener::tls("127.0.0.1:0", &files).await.unwrap();
        ports.push(listener.tcp_address().unwrap().port());
        let serving = Serving {
            shutdown: shutdown.clone(),
            ..Serving::default()
        };
        tokio::spawn(serve(listener, router(fake::backends()), serving));
    }
    let client = ["--cert", "client.pem", "--key", "client-key.pem"];
    assert_eq!(curl(dir.path(), ports[0], &client).await, "OK");
    assert_eq!(curl(dir.path(), ports[0], &[]).await, "", "no certificate");
    assert_eq!(
        curl(
            dir.path(),
            ports[0],
            &["--cert", "stranger.pem", "--key", "stranger-key.pem"]
        )
        .await,
        ""
    );
    assert_eq!(curl(dir.path(), ports[1], &[]).await, "OK", "without --tlsverify");
    shutdown.cancel();
    files.key = file("missing.pem");
    assert!(
        Listener::tls("127.0.0.1:0", &files)
            .await
            .err()
            .unwrap()
            .to_string()
            .contains("missing.pem")
    );
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let first = Listener::tcp("127.0.0.1:0").await.unwrap();
    let address = first.tcp_address().unwrap().to_string();
    let error = Listener::tcp(&address).await.err().unwrap().to_string();
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn shutting_down_lets_replies_finish_and_removes_the_socket() {
    let daemon = crate::wire::Daemon::start().await;
    assert_eq!(daemon.get("/_ping").await.status, 200);
    daemon.shutdown.cancel();
    let began = std::time::Instant::now();
    while daemon.socket.exists() {
        assert!(began.elapsed().as_secs() < 5, "the socket is left");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
