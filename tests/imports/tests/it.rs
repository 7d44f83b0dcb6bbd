//! Fails on an import that points up or sideways, and on a licence or source that we do not take.

use shoal_tests_imports::{advisories, metadata, packages};

/// Room → the rooms of ours that it may import. Read it top-down: each line only names rooms further down.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("node-daemon", &["*"]),
    ("cli", &["api-client", "api-types"]),
    (
        "node-manager",
        &[
            "api-types",
            "api-backend",
            "api-wire",
            "raft-objects",
            "raft-store",
            "raft-consensus",
            "node-core-cluster",
            "node-core-host",
            "node-drivers-certs",
        ],
    ),
    (
        "node-agent",
        &[
            "api-types",
            "api-wire",
            "raft-objects",
            "node-core-host",
            "node-drivers-certs",
        ],
    ),
    (
        "node-engine",
        &[
            "api-types",
            "api-backend",
            "node-core-host",
            "node-drivers-runtime",
            "node-drivers-cgroup",
            "node-drivers-shim",
            "node-drivers-images",
            "node-drivers-network",
            "node-drivers-volumes",
            "node-drivers-logs",
            "node-drivers-plugins",
            "node-drivers-archive",
            "raft-objects",
        ],
    ),
    (
        "node-shim",
        &[
            "node-drivers-runtime",
            "node-drivers-cgroup",
            "node-drivers-logs",
            "node-drivers-shim",
        ],
    ),
    // The shim's protocol names the runtime's and the cgroup driver's plain data; no other driver sees a neighbour.
    (
        "node-drivers-shim",
        &["node-drivers-runtime", "node-drivers-cgroup"],
    ),
    ("node-drivers-runtime", &["node-core-host"]),
    ("node-drivers-cgroup", &["node-core-host"]),
    ("node-drivers-images", &["node-core-host", "api-types"]),
    ("node-drivers-network", &["node-core-host"]),
    ("node-drivers-volumes", &["node-core-host"]),
    ("node-drivers-logs", &["node-core-host"]),
    ("node-drivers-plugins", &["node-core-host"]),
    ("node-drivers-archive", &["node-core-host"]),
    ("node-drivers-certs", &["raft-objects"]),
    ("node-core-host", &["raft-objects", "api-types"]),
    ("node-core-cluster", &["raft-objects", "raft-store"]),
    ("api-http", &["api-backend", "api-types"]),
    ("api-client", &["api-types"]),
    ("api-backend", &["api-types"]),
    (
        "raft-consensus",
        &["raft-log", "raft-store", "raft-objects", "api-wire"],
    ),
    ("raft-log", &["raft-objects"]),
    ("api-wire", &["raft-objects"]),
    ("raft-store", &["raft-objects"]),
    ("api-types", &[]),
    ("raft-objects", &[]),
    // raft/histogram: openraft's counters, patched in under the name of the crate that it stands in for.
    ("base2histogram", &[]),
    // Tests stand outside the house and may look at what they test.
    (
        "tests-sim",
        &[
            "raft-objects",
            "raft-store",
            "raft-log",
            "raft-consensus",
            "node-core-cluster",
        ],
    ),
    ("tests-harness", &[]),
    ("tests-mutate", &[]),
    ("tests-conformance", &["tests-harness"]),
    ("tests-cluster", &["tests-harness"]),
    ("tests-imports", &[]),
];

/// Room → foreign crates that it must not see, with the reason.
const MUST_NOT_SEE: &[(&str, &[&str], &str)] = &[
    (
        "raft-objects",
        &["tokio", "rand", "openraft", "rocksdb", "nix", "rustix", "libc"],
        "it is pure",
    ),
    (
        "raft-store",
        &["tokio", "rand", "openraft", "rocksdb", "nix", "rustix", "libc"],
        "it is pure",
    ),
    (
        "node-core-cluster",
        &["tokio", "rand", "openraft", "rocksdb", "nix", "rustix", "libc"],
        "it decides and never acts",
    ),
    (
        "node-core-host",
        &["tokio", "rand", "openraft", "rocksdb", "nix", "rustix", "libc"],
        "it decides and never acts",
    ),
    (
        "node-agent",
        &["openraft", "rocksdb"],
        "a worker knows nothing of consensus",
    ),
    (
        "node-manager",
        &["openraft", "rocksdb"],
        "consensus hides behind raft/consensus",
    ),
    (
        "node-engine",
        &["openraft", "rocksdb", "tonic", "hyper", "axum"],
        "one node's Docker knows neither cluster nor HTTP",
    ),
    (
        "node-shim",
        &["tokio", "openraft", "rocksdb"],
        "one small process per container",
    ),
    ("node-drivers-runtime", &["tokio"], "the shim links it"),
    ("node-drivers-cgroup", &["tokio"], "the shim links it"),
    ("node-drivers-logs", &["tokio"], "the shim links it"),
];

const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "MPL-2.0+",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    // As free as BSD: of the Rust port of libbzip2.
    "bzip2-1.0.6",
];

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    let all = packages(&metadata());
    for (name, package) in &all {
        let room = name.strip_prefix("shoal-").unwrap_or(name);
        if room == name && name != "base2histogram" {
            wrong.push(format!("{name} is ours and not named shoal-*"));
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(r, _)| *r == room) else {
            wrong.push(format!("{name} has no line in the table: say what it may import"));
            continue;
        };
        for target in &package.ours {
            let target = target.strip_prefix("shoal-").unwrap_or(target);
            if !allowed.contains(&"*") && !allowed.contains(&target) {
                wrong.push(format!(
                    "{room} imports {target}: that edge points up or sideways (allowed: {allowed:?})"
                ));
            }
        }
        for (_, forbidden, why) in MUST_NOT_SEE.iter().filter(|(r, ..)| *r == room) {
            for target in package.others.iter().filter(|t| forbidden.contains(&t.as_str())) {
                wrong.push(format!("{room} sees {target}: {why}"));
            }
        }
    }
    assert!(all.len() >= 20, "the workspace was read: {} packages", all.len());
    assert!(
        wrong.is_empty(),
        "see ARCHITECTURE.md, \"Who may import whom\":\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_the_named_rooms_see_openraft_and_rocksdb() {
    for (name, package) in packages(&metadata()) {
        for (foreign, homes) in [
            (
                "openraft",
                &["shoal-raft-log", "shoal-raft-consensus", "shoal-tests-sim"][..],
            ),
            ("rocksdb", &["shoal-raft-log"][..]),
        ] {
            let sees = package.others.iter().any(|o| o == foreign);
            assert!(
                !sees || homes.contains(&name.as_str()),
                "{name} sees {foreign}, which lives in {homes:?} only"
            );
        }
    }
}

#[test]
fn licences_and_sources_are_ones_we_take() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap_or("?"),
            package["version"].as_str().unwrap_or("?")
        );
        if let Some(source) = package["source"].as_str()
            && !source.starts_with("registry+")
        {
            wrong.push(format!("{name} comes from {source}, not from a registry"));
        }
        let licence = package["license"].as_str().unwrap_or("");
        if !acceptable(licence) {
            wrong.push(format!("{name} has licence {licence:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether an SPDX expression can be met with the licences we take. `AND` binds tighter than `OR`; some crates
/// still write `/` for `OR`.
fn acceptable(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !tokens.is_empty() && any(&tokens, &mut at) && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize) -> bool {
    let mut met = all(tokens, at);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(tokens, at);
    }
    met
}

fn all(tokens: &[&str], at: &mut usize) -> bool {
    let mut met = one(tokens, at);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize) -> bool {
    if tokens.get(*at) == Some(&"(") {
        *at += 1;
        let met = any(tokens, at);
        *at += 1;
        return met;
    }
    let mut name = tokens.get(*at).copied().unwrap_or("").to_owned();
    *at += 1;
    if tokens.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    LICENCES.contains(&name.as_str())
}

#[test]
fn the_licence_rule_itself() {
    assert!(acceptable("MIT OR GPL-3.0"));
    assert!(acceptable("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!acceptable("GPL-3.0"));
    assert!(!acceptable("MIT AND GPL-3.0"));
    assert!(!acceptable("(MIT OR Apache-2.0) AND GPL-3.0"));
    assert!(acceptable("MIT/Apache-2.0"));
    assert!(!acceptable(""));
}

/// `SHOAL_ADVISORIES` names a checkout of the RustSec database; `tests/run` sets it where the database can be reached.
#[test]
fn no_locked_crate_has_a_known_vulnerability() {
    let lockfile = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
    let Some(database) = std::env::var_os("SHOAL_ADVISORIES") else {
        println!("the advisory database was not reached; only the check itself is tested");
        return;
    };
    let found = advisories::check(database.as_ref(), lockfile).expect("the database reads");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_vulnerable_version_is_reported() {
    let scratch = std::env::temp_dir().join(format!("shoal-advisories-{}", std::process::id()));
    let folder = scratch.join("crates/frail");
    std::fs::create_dir_all(&folder).expect("scratch folder");
    let advisory = "```toml\n[advisory]\nid = \"RUSTSEC-2001-0001\"\npackage = \"frail\"\ndate = \"2001-01-01\"\n\n\
                    [versions]\npatched = [\">= 1.2.0\"]\n```\n\n# It breaks\n\nWhen touched.\n";
    std::fs::write(folder.join("RUSTSEC-2001-0001.md"), advisory).expect("advisory");
    let source = "registry+https://github.com/rust-lang/crates.io-index";
    let check = |version: &str| {
        let lock = scratch.join("Cargo.lock");
        let text = format!(
            "version = 4\n\n[[package]]\nname = \"frail\"\nversion = \"{version}\"\nsource = \"{source}\"\n"
        );
        std::fs::write(&lock, text).expect("lockfile");
        advisories::check(&scratch, &lock).expect("both read")
    };
    let (old, mended) = (check("1.1.9"), check("1.2.0"));
    std::fs::remove_dir_all(&scratch).expect("scratch folder goes");
    assert_eq!(old, ["RUSTSEC-2001-0001 frail 1.1.9: It breaks"]);
    assert!(mended.is_empty(), "{mended:?}");
}
