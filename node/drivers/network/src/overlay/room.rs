//! Room for neighbours. Whoever was spoken to on a network is a neighbour to the kernel, which keeps so many at most for all
//! networks of all containers together: 1,024 unless it is told otherwise, and a few hundred containers that speak to each other
//! fill that. From then on nobody is reached who was not before.

use std::path::Path;

use super::Walk;

const SWITCHES: &str = "/proc/sys/net";
/// What the reference asks for, too: below the first nothing is thrown away, above the second what is five seconds old, and
/// the third is the end.
const ROOM: [(&str, u64); 3] = [
    ("gc_thresh1", 8_192),
    ("gc_thresh2", 49_152),
    ("gc_thresh3", 65_536),
];

impl Walk<'_> {
    pub(super) fn room(&mut self) {
        self.found.extend(raise(Path::new(SWITCHES), self.change));
    }
}

/// Answers what was too little. A host that lets nobody raise its bounds keeps them, which a comparison tells of; a daemon in
/// another network namespace than the machine's own does not see them.
fn raise(switches: &Path, change: bool) -> Vec<String> {
    let mut found = Vec::new();
    // From the end, so that the bounds are in order at any time.
    for (switch, wanted) in ROOM.into_iter().rev() {
        for family in ["ipv4", "ipv6"] {
            let file = switches.join(family).join("neigh/default").join(switch);
            let now = std::fs::read_to_string(&file).ok();
            let Some(now) = now.and_then(|text| text.trim().parse::<u64>().ok()) else {
                continue;
            };
            if now >= wanted || (change && std::fs::write(&file, wanted.to_string()).is_err()) {
                continue;
            }
            let name = format!("net.{family}.neigh.default.{switch}");
            found.push(format!("raise {name} from {now} to {wanted}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_is_raised_and_what_is_more_stays() {
        let root = std::env::temp_dir().join(format!("shoal-room-{}", std::process::id()));
        let file = |family: &str, switch: &str| root.join(family).join("neigh/default").join(switch);
        // A kernel without IPv6 has none of its own.
        std::fs::create_dir_all(root.join("ipv4/neigh/default")).expect("a folder");
        for (switch, value) in [
            ("gc_thresh1", "128"),
            ("gc_thresh2", "60000"),
            ("gc_thresh3", "1024\n"),
        ] {
            std::fs::write(file("ipv4", switch), value).expect("a switch");
        }
        let now = || ROOM.map(|(switch, _)| std::fs::read_to_string(file("ipv4", switch)).expect("a switch"));
        let wanted = [
            "raise net.ipv4.neigh.default.gc_thresh3 from 1024 to 65536",
            "raise net.ipv4.neigh.default.gc_thresh1 from 128 to 8192",
        ];
        assert_eq!(raise(&root, false), wanted);
        assert_eq!(now(), ["128", "60000", "1024\n"], "a comparison changes nothing");
        assert_eq!(raise(&root, true), wanted);
        assert_eq!(now(), ["8192", "60000", "65536"]);
        assert_eq!(raise(&root, true), [""; 0]);
        std::fs::remove_dir_all(&root).expect("it goes");
    }
}
