//! Pulls of what is here already.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use shoal_node_drivers_images::{Error, FaultHook, Images};

use crate::pull::{impatient, login, pull, three_layers};
use crate::registry::{INDEX, OCI, Registry};

#[tokio::test]
async fn what_is_up_to_date_costs_one_question_and_no_writing() {
    let root = tempfile::tempdir().expect("dir");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let heard = steps.clone();
    let hook: FaultHook = Arc::new(move |step| heard.lock().expect("lock").push(step));
    let images = Images::open_with_faults(root.path(), impatient(), Some(hook)).expect("open");
    let mut registry = Registry::default();
    registry.image("a", "latest", OCI, "amd64", &three_layers());
    let (_, descriptor) = registry.image("b", "own", OCI, "amd64", &three_layers()[..1]);
    let mut listed = descriptor.clone();
    listed["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]});
    registry.document("b", "latest", INDEX, &index);
    let (address, registry) = registry.serve();
    let (single, several) = (format!("{address}/a"), format!("{address}/b"));
    for name in [&single, &several] {
        pull(&images, name, None).await.0.expect("pull");
    }
    let files = || {
        let of = |name: &str| fs::metadata(root.path().join("images").join(name)).expect("file");
        ["known.json", "references.json"].map(|name| std::os::unix::fs::MetadataExt::ino(&of(name)))
    };
    let asked = || std::mem::take(&mut registry.lock().expect("lock").log);
    let before = files();
    asked();
    steps.lock().expect("lock").clear();
    for (name, repository) in [(&single, "a"), (&several, "b")] {
        let (done, said) = pull(&images, name, None).await;
        done.expect("pull");
        let last = said.last().map(|p| p.status.clone());
        let current = format!("Status: Image is up to date for {name}:latest");
        assert_eq!(last, Some(current));
        let question = format!("HEAD /v2/{repository}/manifests/latest [] ");
        assert_eq!(asked(), [question]);
    }
    assert_eq!(files(), before);
    // What would be collected is collected by a thread of its own.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(steps.lock().expect("lock")[..], [] as [&str; 0]);

    // By digest, too; and what is new is seen.
    let digest = descriptor["digest"].as_str().expect("digest");
    let by_digest = format!("{several}@{digest}");
    pull(&images, &by_digest, None).await.0.expect("pull");
    pull(&images, &by_digest, None).await.0.expect("pull");
    let questions = asked();
    assert_eq!(
        questions.last(),
        Some(&format!("HEAD /v2/b/manifests/{digest} [] ")),
        "{questions:?}"
    );
    let (id, _) = registry
        .lock()
        .expect("lock")
        .image("a", "latest", OCI, "amd64", &three_layers()[..2]);
    pull(&images, &single, None).await.0.expect("pull");
    assert_eq!(images.get(&single).expect("image").id, id.as_str());
    assert!(!asked().iter().any(|line| line.starts_with("/v2/ ")));
}

/// What a registry was moments ago is not what it has to be now.
#[tokio::test]
async fn a_registry_that_changed_is_asked_anew() {
    let root = tempfile::tempdir().expect("dir");
    let images = Images::open(root.path(), impatient()).expect("open");
    let mut registry = Registry::default();
    registry.image("a", "latest", OCI, "amd64", &three_layers()[..1]);
    let (address, registry) = registry.serve();
    let name = format!("{address}/a");
    pull(&images, &name, None).await.0.expect("pull");
    let change = |change: &dyn Fn(&mut Registry)| {
        let mut registry = registry.lock().expect("lock");
        registry.log.clear();
        change(&mut registry);
    };
    // It does not understand us any more, once: to the short question and to the long one.
    change(&|registry| {
        let refusal = ("400 Bad Request", String::new());
        let path = "/v2/a/manifests/latest".to_owned();
        registry.refusals.insert(path, vec![refusal.clone(), refusal]);
    });
    pull(&images, &name, None).await.0.expect("pull");
    let log = registry.lock().expect("lock").log.clone();
    assert!(log.iter().any(|line| line.starts_with("/v2/ ")), "{log:?}");

    // It wants to know who we are.
    change(&|registry| registry.basic_for = Some("me:pw".into()));
    let error = pull(&images, &name, None).await.0.expect_err("refused");
    assert!(
        error.to_string().ends_with("no basic auth credentials"),
        "{error}"
    );
    pull(&images, &name, login("me", "pw")).await.0.expect("password");
    let error = pull(&images, &name, login("me", "no"))
        .await
        .0
        .expect_err("refused");
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    let error = pull(&images, &name, None).await.0.expect_err("refused");
    assert!(
        error.to_string().ends_with("no basic auth credentials"),
        "{error}"
    );
    // With that known, the right word comes with the first question.
    pull(&images, &name, login("me", "pw")).await.0.expect("password");
    change(&|_| {});
    pull(&images, &name, login("me", "pw")).await.0.expect("password");
    let log = registry.lock().expect("lock").log.clone();
    assert_eq!(log, ["HEAD /v2/a/manifests/latest [Basic bWU6cHc=] "]);
}
