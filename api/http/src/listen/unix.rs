//! The unix socket: root and one group may use it, which is as good as being root.

use super::{BindError, Listener};
use nix::unistd::Group;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio::net::UnixListener;

pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<Listener, BindError> {
    let failed = |reason| BindError::Unix {
        path: path.to_owned(),
        reason,
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    remove_stale(path).map_err(failed)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The owner goes first: until then nobody but root may write to it, which is what connecting needs.
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
    chown(path, group)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o660)).map_err(failed)?;
    Ok(Listener::Unix {
        listener,
        path: Some(path.to_owned()),
    })
}

/// Removes a socket that nobody listens on; leaves everything else.
fn remove_stale(path: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(there) if !there.file_type().is_socket() => Err(std::io::Error::new(
            ErrorKind::AlreadyExists,
            "there is something else than a socket",
        )),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(std::io::Error::new(
                ErrorKind::AddrInUse,
                "another process listens on it",
            )),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
            Err(error) => Err(error),
        },
    }
}

fn chown(path: &Path, group: Option<&str>) -> Result<(), BindError> {
    let name = group.unwrap_or("docker");
    let failed = |reason: String| BindError::Group {
        path: path.to_owned(),
        group: name.to_owned(),
        reason,
    };
    if name.is_empty() {
        return Ok(());
    }
    let by_name = Group::from_name(name).map_err(|error| failed(error.to_string()))?;
    let gid = match (by_name, name.parse::<u32>(), group) {
        (Some(found), _, _) => found.gid.as_raw(),
        (None, Ok(number), _) => number,
        // Docker warns and goes on when its default group is missing.
        (None, Err(_), None) => {
            tracing::warn!(
                group = name,
                "there is no such group: the socket is for root only"
            );
            return Ok(());
        }
        (None, Err(_), Some(_)) => return Err(failed(format!("group {name} not found"))),
    };
    std::os::unix::fs::chown(path, None, Some(gid)).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stale_sockets_are_replaced_and_live_ones_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d/api.sock");
        let first = bind(&path, None).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert!(bind(&path, None).is_err(), "somebody listens");
        drop(first);
        let second = bind(&path, Some("0")).unwrap();
        drop(second);
        assert!(matches!(
            bind(&path, Some("no-such-group-here")),
            Err(BindError::Group { .. })
        ));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(bind(&path, None).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
