//! Real containers from a busybox root file system, made by the real shim and driven through the engine's client.
//! Needs root and `/bin/busybox` (Debian: busybox-static). Everything is named after this process and removed again.

mod adopt;
mod exec;
mod inside;
mod life;
mod speed;
mod streams;
mod support;
