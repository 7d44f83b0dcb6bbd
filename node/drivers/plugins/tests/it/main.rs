//! Against a plugin made of a socket and canned answers.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shoal_node_drivers_plugins::{Address, Call, Error, Places, Plugins};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// Answers each request by its path: (status, body). Counts the requests; an empty body never answers.
fn serve(path: &Path, answers: &[(&str, u16, &str)]) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).expect("bound");
    let answers: BTreeMap<String, (u16, String)> = answers
        .iter()
        .map(|(method, status, body)| (format!("/{method}"), (*status, body.to_string())))
        .collect();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = vec![0; 65536];
            let length = stream.read(&mut text).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            counter.fetch_add(1, Ordering::SeqCst);
            let method = text.split(' ').nth(1).unwrap_or("").to_owned();
            let (status, body) = answers
                .get(&method)
                .cloned()
                .unwrap_or((404, "no such page".into()));
            if body.is_empty() {
                std::mem::forget(stream);
                continue;
            }
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
    });
    count
}

fn plugins(root: &Path) -> Plugins {
    for dir in ["run", "etc"] {
        std::fs::create_dir_all(root.join(dir)).expect("made");
    }
    Plugins::new(Places {
        sockets: vec![root.join("run")],
        descriptions: vec![root.join("etc")],
    })
}

const QUICK: Call = Call {
    limit: Duration::from_millis(400),
    again: false,
};

#[tokio::test]
async fn found_activated_once_and_called() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugins = plugins(dir.path());
    let count = serve(
        &dir.path().join("run/p.sock"),
        &[
            ("Plugin.Activate", 200, r#"{"Implements":["VolumeDriver"]}"#),
            ("VolumeDriver.Path", 200, r#"{"Mountpoint":"/m","Err":""}"#),
            ("VolumeDriver.Get", 500, r#"{"Err":"no such thing"}"#),
            ("VolumeDriver.List", 200, "[1"),
            ("VolumeDriver.Mount", 200, ""),
        ],
    );
    let plugin = plugins.get("p", "VolumeDriver").await.expect("there");
    let answer: Value = plugin
        .call("VolumeDriver.Path", &json!({"Name": "x"}), Call::default())
        .await
        .expect("answered");
    assert_eq!(answer["Mountpoint"], "/m");
    plugins.get("p", "VolumeDriver").await.expect("there");
    assert_eq!(count.load(Ordering::SeqCst), 2, "activated once");
    let refused = plugin
        .call::<_, Value>("VolumeDriver.Get", &json!({}), QUICK)
        .await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "VolumeDriver.Get: no such thing"
    );
    let missing = plugin.call::<_, Value>("VolumeDriver.X", &json!({}), QUICK).await;
    assert!(
        matches!(missing, Err(Error::Refused { status: 404, .. })),
        "{missing:?}"
    );
    let torn = plugin
        .call::<_, Value>("VolumeDriver.List", &json!({}), QUICK)
        .await;
    assert!(matches!(torn, Err(Error::Answer { .. })), "{torn:?}");
    let silent = plugin
        .call::<_, Value>("VolumeDriver.Mount", &json!({}), QUICK)
        .await;
    assert!(matches!(silent, Err(Error::TimedOut { .. })), "{silent:?}");
    let wrong = plugins.get("p", "authz").await.unwrap_err();
    assert!(matches!(wrong, Error::NotImplemented { .. }), "{wrong}");
    assert_eq!(plugins.all("VolumeDriver").await.len(), 1);
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_said_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugins = plugins(dir.path());
    for name in ["x", "../etc/passwd", "", ".x", "a/b"] {
        let error = plugins.get(name, "VolumeDriver").await.unwrap_err();
        assert_eq!(error.to_string(), format!("plugin {name:?} not found"));
    }
    // A socket that nobody listens on any more.
    drop(UnixListener::bind(dir.path().join("run/dead.sock")).expect("bound"));
    let error = plugins.get("dead", "VolumeDriver").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(plugins.all("VolumeDriver").await.is_empty());
}

#[tokio::test]
async fn descriptions_point_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugins = plugins(dir.path());
    let socket = dir.path().join("far.sock");
    serve(
        &socket,
        &[("Plugin.Activate", 200, r#"{"Implements":["authz"]}"#)],
    );
    let etc = dir.path().join("etc");
    std::fs::write(etc.join("s.spec"), format!("unix://{}\n", socket.display())).expect("written");
    std::fs::create_dir(etc.join("j")).expect("made");
    let json = json!({"Name": "j", "Addr": format!("unix://{}", socket.display())});
    std::fs::write(etc.join("j/j.json"), json.to_string()).expect("written");
    std::fs::write(etc.join("bad.json"), "{").expect("written");
    symlink(&socket, dir.path().join("run/link.sock")).expect("linked");
    for name in ["s", "j", "link"] {
        let plugin = plugins.get(name, "authz").await.expect(name);
        assert!(matches!(plugin.address(), Address::Unix(_)));
    }
    let bad = plugins.get("bad", "authz").await.unwrap_err();
    assert!(matches!(bad, Error::Description { .. }), "{bad}");
    assert_eq!(plugins.known("authz").len(), 3);
}

#[tokio::test]
async fn waits_for_a_plugin_that_is_being_started_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugins = plugins(dir.path());
    let path = dir.path().join("run/p.sock");
    let answers = [
        ("Plugin.Activate", 200, r#"{"Implements":["VolumeDriver"]}"#),
        ("VolumeDriver.Path", 200, r#"{"Mountpoint":"/m"}"#),
    ];
    let far = dir.path().join("far.sock");
    serve(&far, &answers);
    symlink(&far, &path).expect("linked");
    let plugin = plugins.get("p", "VolumeDriver").await.expect("there");
    std::fs::remove_file(&far).expect("gone");
    let later = tokio::spawn(async move {
        plugin
            .call::<_, Value>("VolumeDriver.Path", &json!({}), Call::default())
            .await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    serve(&far, &answers);
    assert_eq!(later.await.expect("ran").expect("answered")["Mountpoint"], "/m");
}
