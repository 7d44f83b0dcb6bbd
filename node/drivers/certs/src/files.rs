//! Certificates on disk: a directory that only root can read.
//!
//! A node's key and certificate live in one file, so that a crash can never leave one without the other.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const NODE: &str = "swarm-node.pem";
const ROOT: &str = "swarm-root-ca.crt";

/// All that a node needs to prove who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
    pub root_pem: String,
}

/// The directory of one node's certificates.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Durable when it returns. The root is written first: without a node certificate it means nothing.
    pub fn save(&self, issued: &Issued) -> Result<(), Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|source| self.error(&self.dir, source))?;
        self.write(ROOT, &issued.root_pem)?;
        self.write(NODE, &format!("{}{}", issued.key_pem, issued.certificate_pem))
    }

    /// What was saved, or nothing if this node has no certificate.
    pub fn load(&self) -> Result<Option<Issued>, Error> {
        let Some(node) = self.read(NODE)? else {
            return Ok(None);
        };
        let root_pem = self
            .read(ROOT)?
            .ok_or_else(|| self.error(&self.dir.join(ROOT), io::ErrorKind::NotFound.into()))?;
        let split = node
            .find("-----BEGIN CERTIFICATE-----")
            .ok_or_else(|| Error::parse("node certificate", "the file holds no certificate"))?;
        let (key_pem, certificate_pem) = node.split_at(split);
        Ok(Some(Issued {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            root_pem,
        }))
    }

    /// Forgets who the node was. What is gone already is no error.
    pub fn remove(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.error(&self.dir, e)),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.error(&path, e)),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.dir.join(name);
        let temporary = self.dir.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| self.error(&path, source))
    }

    fn error(&self, path: &Path, source: io::Error) -> Error {
        Error::File {
            path: path.to_owned(),
            source,
        }
    }
}
