//! Links the shim statically.
//!
//! It is also the container's init (`--init`), bound into images that have no C library or another one; and without a
//! dynamic linker it starts in a third of the time and keeps no relocated tables of its own. Cargo has no such setting
//! for one package (`crt-static` would change the daemon too), so the linker is told here: the shared libraries that
//! rustc names are answered with scripts that name their static twins.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_ENV").unwrap_or_default();
    let Some(out) = std::env::var_os("OUT_DIR") else {
        return;
    };
    if target != "gnu" {
        return;
    }
    let out = Path::new(&out);
    let script = |name: &str, text: &str| {
        if let Err(error) = std::fs::write(out.join(name), text) {
            panic!("write a linker script: {error}");
        }
    };
    script("libgcc_s.so", "INPUT(-lgcc_eh -lgcc)\n");
    script("libc.so", "GROUP(-l:libc.a -lgcc_eh -lgcc)\n");
    for name in ["m", "rt", "pthread", "util", "dl"] {
        script(&format!("lib{name}.so"), &format!("INPUT(-l:lib{name}.a)\n"));
    }
    // For the program only: its tests are linked as usual.
    println!("cargo:rustc-link-arg-bins=-L{}", out.display());
    // Not position-independent: tables of addresses are then part of the file, shared by all shims, instead of being
    // relocated into a quarter of a megabyte of private memory in each.
    for arg in ["-static", "-no-pie"] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
