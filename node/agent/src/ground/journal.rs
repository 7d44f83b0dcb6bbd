//! What a node knows of the cluster's networks, on disk: one file with all of it, and one with what changed since, to which each
//! change is added. So a change costs what it is large, and not what is known.

use crate::book::replace;
use crate::ground::{Changed, apply};
use shoal_node_core_host::overlay::Tracks;
use shoal_raft_objects::{Track, codec};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Changes may fill this much, or as much as all of it, before all is written anew.
const CHANGES_BYTES_MIN: u64 = 256 * 1024;
const LENGTH_BYTES: usize = 4;

pub(super) struct Journal {
    whole: PathBuf,
    changes: PathBuf,
    tracks: Tracks,
    /// Sizes of both files; nothing when what is on disk is not what is known.
    bytes: Option<(u64, u64)>,
}

impl Journal {
    /// With what was written last. Files that cannot be read are as good as none: a complete set will come.
    pub fn open(dir: &Path) -> Self {
        let (whole, changes) = (dir.join("networks"), dir.join("networks.changes"));
        let known: BTreeMap<String, Track> = fs::read(&whole)
            .ok()
            .and_then(|bytes| codec::decode(&bytes).ok())
            .unwrap_or_default();
        let known = known.into_iter().map(|(key, track)| (key, Arc::new(track)));
        let mut tracks: Tracks = known.collect();
        let bytes = fs::read(&changes).unwrap_or_default();
        let mut rest = bytes.as_slice();
        while let Some((changed, behind)) = first(rest) {
            apply(&mut tracks, changed);
            rest = behind;
        }
        Journal {
            whole,
            changes,
            tracks,
            // Whatever is half written is not built upon.
            bytes: None,
        }
    }

    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// All of it, durably.
    pub fn replace(&mut self, tracks: Tracks) -> io::Result<()> {
        self.bytes = None;
        self.tracks = tracks;
        self.bytes = Some((self.write_all()?, 0));
        Ok(())
    }

    /// What changed, durably. What could not be written is written with the next.
    pub fn add(&mut self, changed: Changed) -> io::Result<()> {
        let before = self.bytes.take();
        let pieces: BTreeMap<&str, Option<&Track>> = changed
            .iter()
            .map(|(key, piece)| (key.as_str(), piece.as_deref()))
            .collect();
        let record = codec::encode(&pieces).map_err(io::Error::other);
        apply(&mut self.tracks, changed);
        let record = record?;
        let more = (record.len() + LENGTH_BYTES) as u64;
        self.bytes = match before {
            Some((whole, changes)) if changes + more <= whole.max(CHANGES_BYTES_MIN) => {
                self.append(&record)?;
                Some((whole, changes + more))
            }
            _ => Some((self.write_all()?, 0)),
        };
        Ok(())
    }

    fn append(&self, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(record);
        let mut file = OpenOptions::new().append(true).open(&self.changes)?;
        file.write_all(&bytes)?;
        file.sync_data()
    }

    /// A change that is applied again to what has it already alters nothing: each says what a piece is, not what it becomes. So
    /// the changes go after all is written, whatever comes between.
    fn write_all(&self) -> io::Result<u64> {
        let pieces = self.tracks.iter();
        let pieces: BTreeMap<&str, &Track> = pieces
            .map(|(key, track)| (key.as_str(), track.as_ref()))
            .collect();
        let bytes = codec::encode(&pieces).map_err(io::Error::other)?;
        replace(&self.whole, &bytes)?;
        let empty = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.changes)?;
        empty.sync_all()?;
        if let Some(dir) = self.changes.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(bytes.len() as u64)
    }
}

/// The first record and what is behind it; nothing when there is no whole one.
fn first(bytes: &[u8]) -> Option<(Changed, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (record, rest) = rest.split_at_checked(length)?;
    let pieces: BTreeMap<String, Option<Track>> = codec::decode(record).ok()?;
    let pieces = pieces.into_iter().map(|(key, piece)| (key, piece.map(Arc::new)));
    Some((pieces.collect(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::track::EndpointTrack;

    fn endpoint(task: &str, name: &str) -> (String, Arc<Track>) {
        let track = Track::Endpoint(EndpointTrack {
            task: task.into(),
            name: name.into(),
            ..Default::default()
        });
        (track.key(), Arc::new(track))
    }

    fn change(task: &str, name: &str) -> Changed {
        let (key, track) = endpoint(task, name);
        [(key, Some(track))].into()
    }

    #[test]
    fn what_was_taken_in_is_there_again_after_a_daemon_went_at_any_point() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path());
        let many: Tracks = (0..100).map(|n| endpoint(&format!("t{n}"), "a")).collect();
        journal.replace(many.clone()).unwrap();
        journal.add(change("t3", "b")).unwrap();
        journal.add([("e/t4".to_owned(), None)].into()).unwrap();
        let mut wanted = many;
        wanted.extend([endpoint("t3", "b")]);
        wanted.remove("e/t4");
        assert_eq!(journal.tracks(), &wanted);
        assert_eq!(Journal::open(dir.path()).tracks(), &wanted);

        // The last change did not get there as a whole: what came before it holds, and nothing is written behind it.
        let file = dir.path().join("networks.changes");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let mut torn = Journal::open(dir.path());
        wanted.extend([endpoint("t4", "a")]);
        assert_eq!(torn.tracks(), &wanted);
        torn.add(change("t5", "c")).unwrap();
        wanted.extend([endpoint("t5", "c")]);
        assert_eq!(Journal::open(dir.path()).tracks(), &wanted);
        // All was written, and the changes are still there: they alter nothing.
        fs::write(&file, []).unwrap();
        torn.add(change("t6", "d")).unwrap();
        let changes = fs::read(&file).unwrap();
        torn.write_all().unwrap();
        fs::write(&file, changes).unwrap();
        assert_eq!(Journal::open(dir.path()).tracks(), torn.tracks());
    }

    #[test]
    fn a_change_is_written_alone_and_all_of_it_only_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path());
        let many: Tracks = (0..10_000).map(|n| endpoint(&format!("t{n}"), "a")).collect();
        journal.replace(many).unwrap();
        let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        let all = size("networks");
        let mut written: BTreeMap<u64, usize> = BTreeMap::new();
        for n in 0..200 {
            journal.add(change("t1", &format!("{n}"))).unwrap();
            *written.entry(size("networks")).or_default() += 1;
        }
        assert_eq!(written, [(all, 200)].into(), "all of it was not written again");
        assert!(size("networks.changes") < all / 10);
        // What is as large as all of it is written with it.
        let long = "x".repeat(usize::try_from(all).unwrap());
        journal.add(change("t1", &long)).unwrap();
        assert_eq!(size("networks.changes"), 0);
        assert!(size("networks") > all);
    }
}
