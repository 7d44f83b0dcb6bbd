//! Two words to the linker about how `shoald` lies in memory; any other linker than lld ignores the first.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // What runs once at start (RocksDB's static constructors above all) and what hardly ever runs lie apart from the
    // rest, instead of one function here and there: 2.5 MiB fewer pages of an idle daemon's program.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,keep-text-section-prefix");
    // Relocations in 17 KB instead of 2 MB that are read at each start. Needs glibc 2.36, that of Debian 12.
    println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
