//! Certificates end to end: real handshakes over loopback.

mod files;
mod handshake;
