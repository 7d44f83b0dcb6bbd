//! Finding the program to run, in the container and with the container's PATH, with the answers that Go's
//! `exec.LookPath` gives (Docker's clients and users know its texts).

use std::ffi::CString;

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::error::{Error, text};

/// The path to exec for `name`.
pub fn program(name: &str, env: &[String]) -> Result<CString, Error> {
    if name.is_empty() {
        return Err(Error::with_code(128, "no command specified"));
    }
    let as_c = |path: &str| {
        CString::new(path).map_err(|_| Error::with_code(126, format!("exec: {name:?}: invalid argument")))
    };
    if name.contains('/') {
        return match executable(name) {
            Ok(()) => as_c(name),
            Err(Found::No(e)) => {
                let code = if e == Errno::NOENT || e == Errno::NOTDIR {
                    127
                } else {
                    126
                };
                Err(Error::with_code(
                    code,
                    format!("exec: {name:?}: stat {name}: {}", text(e)),
                ))
            }
            Err(Found::Unfit(e)) => Err(Error::with_code(126, format!("exec: {name:?}: {}", text(e)))),
        };
    }
    let path = env
        .iter()
        .rev()
        .find_map(|v| v.strip_prefix("PATH="))
        .unwrap_or_default();
    for dir in path.split(':') {
        let candidate = if dir.is_empty() {
            format!("./{name}")
        } else {
            format!("{dir}/{name}")
        };
        if executable(&candidate).is_ok() {
            return as_c(&candidate);
        }
    }
    Err(Error::with_code(
        127,
        format!("exec: {name:?}: executable file not found in $PATH"),
    ))
}

enum Found {
    /// `stat` failed.
    No(Errno),
    /// It is there but cannot be run.
    Unfit(Errno),
}

fn executable(path: &str) -> Result<(), Found> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty()).map_err(Found::No)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Found::Unfit(Errno::ISDIR));
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        // A kernel without the newer call still has the mode bits.
        Err(Errno::NOSYS | Errno::PERM) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Err(Found::Unfit(Errno::ACCESS)),
        Err(e) => Err(Found::Unfit(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(path: &str) -> Vec<String> {
        vec![format!("PATH={path}")]
    }

    #[test]
    fn found_by_path_or_by_name() {
        assert_eq!(
            program("sh", &env("/nowhere:/bin")).unwrap().as_c_str(),
            c"/bin/sh"
        );
        assert_eq!(program("/bin/sh", &[]).unwrap().as_c_str(), c"/bin/sh");
    }

    #[test]
    fn refusals_in_docker_s_words() {
        let e = program("foo", &env("/bin")).unwrap_err();
        assert_eq!(
            (e.code, &*e.message),
            (127, r#"exec: "foo": executable file not found in $PATH"#)
        );
        let e = program("sh", &[]).unwrap_err();
        assert_eq!(e.code, 127);
        let e = program("/no/such", &[]).unwrap_err();
        assert_eq!(
            (e.code, &*e.message),
            (
                127,
                r#"exec: "/no/such": stat /no/such: no such file or directory"#
            )
        );
        let e = program("/etc", &[]).unwrap_err();
        assert_eq!(
            (e.code, &*e.message),
            (126, r#"exec: "/etc": is a directory: permission denied"#)
        );
        let e = program("/etc/passwd", &[]).unwrap_err();
        assert_eq!(
            (e.code, &*e.message),
            (126, r#"exec: "/etc/passwd": permission denied"#)
        );
    }
}
