//! A user's home directory, from the container's own /etc/passwd.

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags};

/// No more of the file is read than this: it is the image's, so it could be anything.
const LENGTH_MAX: u64 = 1 << 20;

/// Seen from inside: `/` if nothing better is known.
pub fn home(uid: u32) -> String {
    let open = || -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open("/etc/passwd", flags, Mode::empty()).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(fd)
    };
    let mut text = Vec::new();
    if let Some(fd) = open() {
        // A file that cannot be read to its end is as good as what was read of it.
        let _ = std::fs::File::from(fd).take(LENGTH_MAX).read_to_end(&mut text);
    }
    find(&String::from_utf8_lossy(&text), uid)
        .unwrap_or("/")
        .to_owned()
}

fn find(text: &str, uid: u32) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let own: u32 = fields.nth(2)?.parse().ok()?;
        if own != uid {
            return None;
        }
        fields
            .nth(2)
            .filter(|home| !home.is_empty() && !home.contains('\0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_user_counts() {
        let text = "# comment\nroot:x:0:0:root:/root:/bin/sh\n\nbroken\nx:x:7:7::/seven:\nx:x:7:7::/other:\ny:x:8:8:::\n";
        assert_eq!(find(text, 0), Some("/root"));
        assert_eq!(find(text, 7), Some("/seven"));
        assert_eq!(find(text, 8), None);
        assert_eq!(find(text, 9), None);
    }
}
