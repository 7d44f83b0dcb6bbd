//! Honest input made wrong, the same way each time: what every parser that reads from a client, a registry or a container is
//! tried with, in its own crate's tests.
//!
//! [`mutations`] takes examples apart and hands out the pieces put together wrongly. One seed, so a failure repeats;
//! `SHOAL_MUTATIONS=FACTOR` tries that many times as much, from the clock. No dependency; nothing that ships imports it.

/// xorshift64*: small, and good enough to break things.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`; 0 for 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            0
        } else {
            (self.next() % end as u64) as usize
        }
    }
}

/// What parsers and their arithmetic stumble over.
const STRANGE: [&[u8]; 26] = [
    b"",
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xf0\x9f\xa6\x80",
    b"0",
    b"-1",
    b"255",
    b"65536",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"1e999",
    b"0x",
    b"..",
    b"/",
    b"//",
    b":",
    b",",
    b"=",
    b"%",
    b"\"",
    b"\\",
    b"{}",
    b"[[[[[[[[",
];
const LENGTH_MAX: usize = 64 << 10;

/// Calls `work` with `count` inputs made of `seeds`, the seeds themselves first. If it panics, the input is shown.
pub fn mutations<S: AsRef<[u8]>>(seeds: &[S], count: usize, mut work: impl FnMut(&[u8])) {
    let factor = std::env::var("SHOAL_MUTATIONS")
        .ok()
        .and_then(|n| n.parse::<usize>().ok());
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    let seed = factor.map_or(7, |_| clock());
    let mut dice = Dice::new(seed);
    let seeds: Vec<&[u8]> = seeds.iter().map(AsRef::as_ref).collect();
    for n in 0..count.saturating_mul(factor.unwrap_or(1)).max(seeds.len()) {
        let input = match seeds.get(n) {
            Some(seed) => seed.to_vec(),
            None => mutated(&seeds, &mut dice),
        };
        let shown = Shown(n, seed, &input);
        work(&input);
        std::mem::forget(shown);
    }
}

fn mutated(seeds: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].to_vec();
    for _ in 0..1 + dice.below(5) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(64) + 1);
        match dice.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let piece = bytes[at..end].to_vec();
                let times = 1 + dice.below(40);
                bytes.splice(at..at, piece.repeat(times));
            }
            5 | 6 => drop(bytes.splice(at..end, STRANGE[dice.below(STRANGE.len())].iter().copied())),
            7 => {
                let other = seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let to = from + dice.below(other.len() - from + 1);
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            // A number becomes another.
            _ => {
                let digits = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n);
                if let Some(from) = digits {
                    let many = bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
                    let other = STRANGE[5 + dice.below(10)];
                    bytes.splice(from..from + many, other.iter().copied());
                }
            }
        }
        bytes.truncate(LENGTH_MAX);
    }
    bytes
}

/// Dropped only while something panics.
struct Shown<'a>(usize, u64, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        eprintln!(
            "input {} of seed {}: {:?}",
            self.0,
            self.1,
            String::from_utf8_lossy(self.2)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::mutations;

    #[test]
    fn the_same_each_time_and_not_the_seeds_again() {
        let run = || {
            let mut all = Vec::new();
            mutations(&["one=1", "two=22"], 200, |input| all.push(input.to_vec()));
            all
        };
        let all = run();
        assert_eq!(all.len(), 200);
        assert_eq!(all, run());
        let fresh = all
            .iter()
            .filter(|i| ![&b"one=1"[..], b"two=22"].contains(&i.as_slice()));
        assert!(fresh.count() > 150);
    }
}
