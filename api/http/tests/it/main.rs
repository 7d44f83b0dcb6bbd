//! The API over real sockets, with backends that answer from memory: what a client sees, byte by byte. What the reference
//! engine (dockerd 28.5.2) can show was first seen there.

mod fake;
mod wire;

mod errors;
mod forwarding;
mod gates;
mod hostile;
mod listeners;
mod mutated;
mod stock_cli;
mod streams;
mod takeover;
mod uploads;
mod versions;
