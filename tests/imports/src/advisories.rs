//! Known vulnerabilities among the locked crates, from a copy of the RustSec advisory database.

use rustsec::{Database, Lockfile};
use std::path::Path;

/// The advisories of the database at `database` that hold for `lockfile`, one line each: id, crate, version, title.
///
/// # Errors
/// When either cannot be read.
pub fn check(database: &Path, lockfile: &Path) -> Result<Vec<String>, rustsec::Error> {
    let database = Database::open(database)?;
    let lockfile = Lockfile::load(lockfile)?;
    let line = |found: &rustsec::Vulnerability| {
        format!(
            "{} {} {}: {}",
            found.advisory.id, found.package.name, found.package.version, found.advisory.title
        )
    };
    Ok(database.vulnerabilities(&lockfile).iter().map(line).collect())
}
