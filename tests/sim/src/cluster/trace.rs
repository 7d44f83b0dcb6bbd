//! A fingerprint of everything that was committed and decided, in order.

use sha2::{Digest, Sha256};

#[derive(Default)]
pub struct Trace {
    hash: Sha256,
    pub entries: u64,
    pub decisions: u64,
}

impl Trace {
    pub fn entry(&mut self, index: u64, term: u64, payload: &[u8]) {
        self.entries += 1;
        self.hash.update([b'E']);
        self.hash.update(index.to_be_bytes());
        self.hash.update(term.to_be_bytes());
        self.hash.update(Sha256::digest(payload));
    }

    pub fn decision(&mut self, at: u64, by: u64, proposals: &[Vec<u8>]) {
        self.decisions += 1;
        self.hash.update([b'D']);
        self.hash.update(at.to_be_bytes());
        self.hash.update(by.to_be_bytes());
        for proposal in proposals {
            self.hash.update(Sha256::digest(proposal));
        }
    }

    pub fn fingerprint(&self) -> String {
        let hash = self.hash.clone().finalize();
        hash.iter().take(16).map(|b| format!("{b:02x}")).collect()
    }
}
