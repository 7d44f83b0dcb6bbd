use crate::handshake::issue;
use shoal_node_drivers_certs::{Credentials, Files, Root};
use shoal_raft_objects::Role;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

#[test]
fn what_was_saved_comes_back_and_only_root_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(dir.path().join("certificates"));
    assert!(files.load().unwrap().is_none());
    let root = Root::create(SystemTime::now()).unwrap();
    let issued = issue(&root, "n1", Role::Manager);
    files.save(&issued).unwrap();
    assert!(files.load().unwrap().unwrap() == issued);
    assert_eq!(
        Credentials::load(&files)
            .unwrap()
            .unwrap()
            .identity()
            .node
            .as_str(),
        "n1"
    );
    for entry in std::fs::read_dir(dir.path().join("certificates")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
    }
    files.remove().unwrap();
    files.remove().unwrap();
    assert!(files.load().unwrap().is_none());
}
