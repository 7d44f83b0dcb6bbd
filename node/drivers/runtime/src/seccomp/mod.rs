//! Seccomp: an assembler for OCI profiles of its own, programs cached on disk, and loading them.

mod bpf;
mod compile;
mod table;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use oci_spec::runtime::LinuxSeccomp;
use sha2::{Digest, Sha256};

use bpf::Instruction;
pub use compile::compile;

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// For `seccomp(2)`.
    flags: u32,
    code: Vec<Instruction>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("seccomp: SCMP_ACT_NOTIFY and its flags are not supported")]
    Notify,
    #[error("seccomp: a system call has no argument number {0}")]
    Argument(usize),
    #[error("seccomp: the profile needs {0} instructions, the kernel takes at most 4096")]
    TooLong(usize),
    #[error("seccomp: {what} {path}: {source}")]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("seccomp: {0} is not a compiled program")]
    Corrupt(PathBuf),
    #[error("seccomp: encode the profile: {0}")]
    Json(#[from] serde_json::Error),
}

/// First bytes of a program file; the number changes with the compiler.
const MAGIC: &[u8; 8] = b"shscmp01";

impl Program {
    /// Write the program to `path`, atomically: a reader never sees half of it. Several may do so at once.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.flags.to_le_bytes());
        for i in &self.code {
            bytes.extend(i.code.to_le_bytes());
            bytes.extend([i.jt, i.jf]);
            bytes.extend(i.k.to_le_bytes());
        }
        // Threads of one daemon may meet here: each writes a file of its own.
        static DRAFTS: AtomicU32 = AtomicU32::new(0);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(
            ".{}-{}.tmp",
            std::process::id(),
            DRAFTS.fetch_add(1, Ordering::Relaxed)
        ));
        let error = |what| {
            move |source| Error::Io {
                what,
                path: path.to_owned(),
                source,
            }
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&name)
            .map_err(error("create"))?;
        file.write_all(&bytes).map_err(error("write"))?;
        std::fs::rename(&name, path).map_err(error("rename"))
    }

    /// Read what [`Program::save`] wrote.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            what: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&bytes).ok_or_else(|| Error::Corrupt(path.to_owned()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (flags, rest) = rest.split_first_chunk::<4>()?;
        let (words, tail) = rest.as_chunks::<8>();
        if !tail.is_empty() || words.is_empty() {
            return None;
        }
        let code = words
            .iter()
            .map(|w| Instruction {
                code: u16::from_le_bytes([w[0], w[1]]),
                jt: w[2],
                jf: w[3],
                k: u32::from_le_bytes([w[4], w[5], w[6], w[7]]),
            })
            .collect();
        Some(Self {
            flags: u32::from_le_bytes(*flags),
            code,
        })
    }

    /// Put the calling process under this filter for good. Needs `no_new_privs` or CAP_SYS_ADMIN.
    ///
    /// Allocates nothing, so it may be called between clone and exec.
    pub(crate) fn install(&self) -> Result<(), rustix::io::Errno> {
        let program = libc::sock_fprog {
            len: self.code.len() as u16,
            filter: self.code.as_ptr().cast::<libc::sock_filter>().cast_mut(),
        };
        // SAFETY: `Instruction` is laid out as `sock_filter`; the kernel copies the program during the call.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                self.flags,
                &program,
            )
        };
        if done == 0 {
            Ok(())
        } else {
            Err(rustix::io::Errno::from_io_error(&io::Error::last_os_error())
                .unwrap_or(rustix::io::Errno::INVAL))
        }
    }
}

/// The path of the compiled form of `profile` in `dir`, compiled now if nobody has yet. The name is the profile's
/// digest, so equal profiles share one file and a changed one never meets an old program.
pub fn cached(dir: &Path, profile: &LinuxSeccomp) -> Result<PathBuf, Error> {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(serde_json::to_vec(profile)?);
    let path = dir.join(format!("{}.bpf", hex::encode(hash.finalize())));
    if Program::load(&path).is_err() {
        compile(profile)?.save(&path)?;
    }
    Ok(path)
}
