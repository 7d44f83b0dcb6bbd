//! What a step comes to: proposals of bounded size, and when to step again.

use shoal_raft_objects::{Proposal, Time, Write, codec};

/// More writes than this never travel in one proposal.
pub const PROPOSAL_WRITES_MAX: usize = 200;
/// Nor more bytes than about this (a single write that is larger goes alone).
pub const PROPOSAL_BYTES_MAX: usize = 1 << 20;

/// Propose everything, wait until all of it is applied or refused, then step again: at once if anything was applied,
/// else at `wake_at` or at the next event, whichever comes first. The proposals touch different objects, so they may
/// be proposed at the same time and one may be refused without the others.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Decision {
    pub proposals: Vec<Proposal>,
    pub wake_at: Option<Time>,
}

/// Fills proposals with groups of writes. A group (what happens to one slot) is never torn apart.
pub(crate) struct Packer {
    at: Time,
    writes_max: usize,
    bytes: usize,
    open: Vec<Write>,
    done: Vec<Proposal>,
}

impl Packer {
    pub fn new(at: Time, writes_max: usize) -> Self {
        Self {
            at,
            writes_max: writes_max.clamp(1, PROPOSAL_WRITES_MAX),
            bytes: 0,
            open: Vec::new(),
            done: Vec::new(),
        }
    }

    pub fn add(&mut self, group: Vec<Write>) {
        let bytes = group.iter().map(size).sum::<usize>();
        let full = self.open.len() + group.len() > self.writes_max || self.bytes + bytes > PROPOSAL_BYTES_MAX;
        if full && !self.open.is_empty() {
            self.close();
        }
        self.bytes += bytes;
        self.open.extend(group);
    }

    pub fn finish(mut self) -> Vec<Proposal> {
        if !self.open.is_empty() {
            self.close();
        }
        self.done
    }

    fn close(&mut self) {
        self.bytes = 0;
        self.done.push(Proposal {
            at: self.at,
            writes: std::mem::take(&mut self.open),
        });
    }
}

fn size(write: &Write) -> usize {
    match write {
        Write::Desired { .. } | Write::Delete { .. } => 96,
        // What cannot be encoded is refused when it is proposed, with a better message than could be given here.
        _ => codec::encode(write).map_or(0, |bytes| bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_objects::{Object, Task, TaskState};

    fn desired(n: usize) -> Vec<Write> {
        (0..n)
            .map(|i| Write::Desired {
                task: format!("t{i}").into(),
                desired: TaskState::Shutdown,
            })
            .collect()
    }

    #[test]
    fn proposals_are_bounded_by_count_and_groups_stay_whole() {
        let mut packer = Packer::new(Time(1), 10);
        for _ in 0..9 {
            packer.add(desired(3));
        }
        let sizes: Vec<_> = packer.finish().iter().map(|p| p.writes.len()).collect();
        assert_eq!(sizes, [9, 9, 9]);
    }

    #[test]
    fn proposals_are_bounded_by_bytes() {
        let mut packer = Packer::new(Time(1), 200);
        for i in 0..5 {
            let mut task = Task {
                id: format!("t{i}").into(),
                ..Default::default()
            };
            task.status.err = "x".repeat(400 << 10);
            packer.add(vec![Write::Create(Object::from(task))]);
        }
        let sizes: Vec<_> = packer.finish().iter().map(|p| p.writes.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
    }
}
