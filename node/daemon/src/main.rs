//! `shoald`
mod args;
mod config;
mod options;
fn main() {
    let _ = (args::command(), config::load as fn(_) -> _);
}
