//! Which files of an image stay in memory as they are unpacked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of large files of one image that go by way of the page cache, to be there when a container starts. The rest of a
/// large image goes past it: it would push out what containers use, and most of it nobody reads soon.
const WARM: u64 = 128 << 20;
/// Smaller files always go that way: for them the disk would take longer.
const LARGE: u64 = 256 << 10;

/// Shared by all layers of one operation.
#[derive(Debug, Clone)]
pub(crate) struct Warm(Arc<AtomicU64>);

impl Default for Warm {
    fn default() -> Warm {
        Warm(Arc::new(AtomicU64::new(WARM)))
    }
}

impl Warm {
    /// Whether a file of so many bytes stays in memory.
    pub fn takes(&self, size: u64) -> bool {
        let left = |left: u64| left.checked_sub(size);
        size < LARGE
            || self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_stay_in_memory_until_there_are_enough_of_them() {
        let warm = Warm::default();
        let again = warm.clone();
        assert!(warm.takes(WARM - LARGE));
        assert!(!again.takes(LARGE + 1));
        assert!(again.takes(LARGE));
        assert!(!warm.takes(LARGE) && warm.takes(LARGE - 1));
    }
}
