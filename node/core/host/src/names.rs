//! Container names: which are allowed, and `adjective_scientist` for those that nobody named.

const ADJECTIVES: [&str; 72] = [
    "able", "agile", "amber", "ample", "ardent", "astute", "azure", "balmy", "blithe", "bold", "brisk",
    "calm", "candid", "cheery", "civil", "clever", "coastal", "coral", "cosmic", "crisp", "curious", "deft",
    "drifting", "eager", "earnest", "fair", "fleet", "fluent", "frank", "genial", "gentle", "glad", "golden",
    "hardy", "hearty", "honest", "humble", "jolly", "keen", "kind", "limpid", "lively", "lucid", "lucky",
    "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite",
    "prompt", "quick", "quiet", "rapid", "sage", "serene", "sharp", "silver", "snug", "steady", "sunny",
    "swift", "tidal", "tranquil", "vivid", "warm", "witty",
];

const SCIENTISTS: [&str; 88] = [
    "abel",
    "agnesi",
    "ampere",
    "anning",
    "archimedes",
    "avicenna",
    "babbage",
    "banach",
    "bernoulli",
    "bohr",
    "boltzmann",
    "boole",
    "bose",
    "brahe",
    "cannon",
    "cantor",
    "carson",
    "cauchy",
    "chandrasekhar",
    "chatelet",
    "curie",
    "dalton",
    "darwin",
    "dirac",
    "earle",
    "eratosthenes",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fibonacci",
    "fourier",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goodall",
    "hamilton",
    "herschel",
    "hertz",
    "hilbert",
    "hopper",
    "hubble",
    "huygens",
    "hypatia",
    "jemison",
    "johnson",
    "joule",
    "kepler",
    "khayyam",
    "kovalevskaya",
    "lagrange",
    "lamarr",
    "laplace",
    "lavoisier",
    "leavitt",
    "leibniz",
    "linnaeus",
    "lovelace",
    "maxwell",
    "mcclintock",
    "meitner",
    "mendel",
    "mendeleev",
    "mirzakhani",
    "newton",
    "noether",
    "nobel",
    "pascal",
    "pasteur",
    "pauling",
    "payne",
    "planck",
    "poincare",
    "ramanujan",
    "raman",
    "riemann",
    "rubin",
    "shannon",
    "somerville",
    "tharp",
    "turing",
    "volta",
    "wegener",
    "wu",
];

/// A name from a random number; `retry` > 0 appends a digit, when the plain one was taken.
pub fn generate(random: u64, retry: u32) -> String {
    let adjective = ADJECTIVES[(random % ADJECTIVES.len() as u64) as usize];
    let scientist = SCIENTISTS[(random / ADJECTIVES.len() as u64 % SCIENTISTS.len() as u64) as usize];
    match retry {
        0 => format!("{adjective}_{scientist}"),
        _ => format!(
            "{adjective}_{scientist}{}",
            random / 7919 % (10 * u64::from(retry))
        ),
    }
}

/// Without its leading slash; refuses what Docker refuses.
pub fn check(name: &str) -> Result<&str, String> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if bare.len() >= 2 && bare.as_bytes()[0].is_ascii_alphanumeric() && bare.bytes().all(ok) {
        return Ok(bare);
    }
    Err(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    ))
}

/// What a reference that is neither a full id nor a name may be: the start of an id.
pub fn is_id_prefix(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_valid_and_vary() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..5000u64 {
            let name = generate(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), (n % 3) as u32);
            assert_eq!(check(&name), Ok(name.as_str()));
            seen.insert(name);
        }
        assert!(seen.len() > 3000);
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(check("/web.1"), Ok("web.1"));
        for bad in ["", "/", "a", "-ab", "a b", "a/b", "ä1"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(is_id_prefix("0af") && !is_id_prefix("xyz") && !is_id_prefix(""));
    }
}
