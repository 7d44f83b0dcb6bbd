//! The stock docker command line, which negotiates, decodes and renders on its own.

use crate::wire::Daemon;
use std::process::Command;

async fn docker(daemon: &Daemon, args: &[&str]) -> String {
    let mut command = Command::new(std::env::var("DOCKER").unwrap_or_else(|_| "docker".into()));
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("DOCKER_CONFIG", "/nonexistent");
    command
        .args(["-H", &format!("unix://{}", daemon.socket.display())])
        .args(args);
    let output = tokio::task::spawn_blocking(move || {
        command
            .output()
            .expect("the stock docker CLI is needed: tests/run brings it")
    })
    .await
    .unwrap();
    assert!(
        output.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_cli_understands_us() {
    let daemon = Daemon::start().await;
    let version = docker(
        &daemon,
        &[
            "version",
            "--format",
            "{{.Server.Version}} {{.Server.APIVersion}}",
        ],
    )
    .await;
    assert_eq!(version, "0.1.0 1.55\n");
    let info = docker(
        &daemon,
        &[
            "info",
            "--format",
            "{{.OSType}} {{.Swarm.LocalNodeState}} {{.Driver}}",
        ],
    )
    .await;
    assert_eq!(info, "linux inactive overlay2\n");
    assert!(docker(&daemon, &["info"]).await.contains("Security Options:"));
    let ps = docker(
        &daemon,
        &[
            "ps",
            "-a",
            "--no-trunc",
            "--format",
            "{{.Names}}|{{.Image}}|{{.State}}",
        ],
    )
    .await;
    assert_eq!(ps, "contract-gold|shoaltest|running\n");
    assert!(
        docker(
            &daemon,
            &["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"]
        )
        .await
        .contains("Leader")
    );
    assert!(docker(&daemon, &["images"]).await.contains("<none>"));
    assert_eq!(
        docker(
            &daemon,
            &[
                "inspect",
                "--type",
                "container",
                "golden",
                "--format",
                "{{.Name}}"
            ]
        )
        .await,
        "/contract-gold\n"
    );
    assert!(
        docker(&daemon, &["pull", "-q", "something"])
            .await
            .contains("something")
    );
    assert_eq!(docker(&daemon, &["logs", "echo"]).await, "one\n");
}
