//! Which images leave a node's disk without being asked to, and when: the disk is nearly full, or newer releases of the same
//! service have come. What a container has, running or not, never goes, and nothing goes that somebody has just brought.

use std::collections::BTreeMap;

/// What the operator wants. Nothing goes by itself unless it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Per cent of the file system above which images go until it is below `low`; 0 is never.
    pub high: u8,
    pub low: u8,
    /// Releases of one service that are kept; 0 keeps all.
    pub keep_releases: usize,
    /// Seconds that an image is left alone after it was last named, brought or used.
    pub spare_seconds: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            high: 0,
            low: 0,
            keep_releases: 0,
            spare_seconds: 600,
        }
    }
}

impl Policy {
    pub fn is_off(&self) -> bool {
        self.high == 0 && self.keep_releases == 0
    }
}

/// The file system that images lie on, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    pub total: u64,
    pub used: u64,
}

/// An image that is here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held<'a> {
    pub id: &'a str,
    /// Bytes that are freed if it goes alone.
    pub bytes: u64,
    /// A container has it.
    pub in_use: bool,
    /// When it was last named, brought, or seen with a container; seconds since the epoch.
    pub last: i64,
    /// Services that ran it here, and when a task of them last asked for it; nothing of an image that a hand brought too.
    pub releases: Vec<(&'a str, i64)>,
}

/// Why an image goes: the attribute `reason` of its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    OldRelease,
    DiskFull,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::OldRelease => "old-release",
            Reason::DiskFull => "disk-full",
        }
    }
}

/// The images that go, in order. Releases that are to be kept stay on a full disk too.
pub fn doomed<'a>(policy: &Policy, disk: Disk, now: i64, images: &[Held<'a>]) -> Vec<(&'a str, Reason)> {
    let newest = newest_releases(policy, images);
    let free = |image: &&Held| !image.in_use && image.last.saturating_add(policy.spare_seconds) <= now;
    let kept = |image: &&Held| newest.contains(&image.id);
    let mut gone: Vec<(&str, Reason)> = Vec::new();
    let mut freed = 0u64;
    if policy.keep_releases > 0 {
        let old = images.iter().filter(|image| !image.releases.is_empty());
        for image in old.filter(free).filter(|image| !kept(image)) {
            gone.push((image.id, Reason::OldRelease));
            freed = freed.saturating_add(image.bytes);
        }
    }
    let share = |per_cent: u8| u128::from(disk.total) * u128::from(per_cent) / 100;
    if policy.high == 0 || u128::from(disk.used) < share(policy.high) {
        return gone;
    }
    let wanted = u128::from(disk.used).saturating_sub(share(policy.low.min(policy.high)));
    let mut rest: Vec<&Held> = images
        .iter()
        .filter(free)
        .filter(|image| !kept(image) && !gone.iter().any(|(id, _)| *id == image.id))
        .collect();
    rest.sort_by_key(|image| (image.last, image.id));
    for image in rest {
        if u128::from(freed) >= wanted {
            break;
        }
        gone.push((image.id, Reason::DiskFull));
        freed = freed.saturating_add(image.bytes);
    }
    gone
}

/// The releases of each service that are kept.
fn newest_releases<'a>(policy: &Policy, images: &[Held<'a>]) -> Vec<&'a str> {
    let mut services: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for image in images {
        for &(service, at) in &image.releases {
            services.entry(service).or_default().push((at, image.id));
        }
    }
    let mut newest = Vec::new();
    for releases in services.values_mut() {
        releases.sort_unstable_by(|a, b| b.cmp(a));
        newest.extend(releases.iter().take(policy.keep_releases).map(|(_, id)| *id));
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Disk = Disk {
        total: 1000,
        used: 100,
    };

    fn held<'a>(id: &'a str, last: i64, releases: &[(&'a str, i64)]) -> Held<'a> {
        Held {
            id,
            bytes: 100,
            in_use: false,
            last,
            releases: releases.to_vec(),
        }
    }

    fn policy(high: u8, low: u8, keep_releases: usize) -> Policy {
        Policy {
            high,
            low,
            keep_releases,
            spare_seconds: 10,
        }
    }

    #[test]
    fn nothing_goes_unasked() {
        let full = Disk {
            total: 1000,
            used: 1000,
        };
        let images = [held("a", 0, &[("web", 0)]), held("b", 0, &[])];
        assert!(Policy::default().is_off());
        assert_eq!(doomed(&Policy::default(), full, 1000, &images), []);
    }

    #[test]
    fn a_full_disk_loses_what_was_idle_longest() {
        let used = |used| Disk { total: 1000, used };
        let mut images = [held("old", 1, &[]), held("older", 0, &[]), held("new", 2, &[])];
        let gone = |images: &[Held], disk| {
            let gone = doomed(&policy(90, 75, 0), disk, 100, images);
            let ids: Vec<String> = gone.iter().map(|(id, _)| id.to_string()).collect();
            assert!(gone.iter().all(|(_, why)| *why == Reason::DiskFull));
            ids.join(" ")
        };
        assert_eq!(gone(&images, used(899)), "");
        assert_eq!(gone(&images, used(900)), "older old");
        assert_eq!(gone(&images, used(1000)), "older old new");
        images[1].in_use = true;
        assert_eq!(gone(&images, used(900)), "old new");
        // Somebody has just brought it.
        images[0].last = 95;
        assert_eq!(gone(&images, used(900)), "new");
    }

    #[test]
    fn the_newest_releases_of_each_service_stay() {
        let images = [
            held("1", 1, &[("web", 1)]),
            held("2", 2, &[("web", 2), ("api", 2)]),
            held("3", 3, &[("web", 3)]),
            held("4", 4, &[("web", 4)]),
            held("hand", 0, &[]),
        ];
        let gone = |keep| doomed(&policy(0, 0, keep), EMPTY, 100, &images);
        assert_eq!(gone(0), []);
        // Of web the fourth and of api the second are the newest.
        assert_eq!(gone(1), [("1", Reason::OldRelease), ("3", Reason::OldRelease)]);
        assert_eq!(gone(3), [("1", Reason::OldRelease)]);
        // The old one that still runs stays; on a full disk the newest do too.
        let mut running = images.to_vec();
        running[0].in_use = true;
        let full = Disk {
            total: 1000,
            used: 990,
        };
        let both = doomed(&policy(90, 10, 1), full, 100, &running);
        assert_eq!(both, [("3", Reason::OldRelease), ("hand", Reason::DiskFull)]);
    }
}
