//! `shoal`: Docker's words for one engine or a cluster of them.
//!
//! Parses, asks one daemon through `api/client`, and prints as docker prints. It decides nothing that the daemon could
//! decide, and keeps nothing between two commands.

mod app;
mod commands;
mod credentials;
mod format;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    quiet_on_closed_pipes();
    let matches = app::command().get_matches();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("shoal: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(app::run(&matches)) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:#}");
            app::failure_code(&e)
        }
    };
    // A reader of standard input may still be blocked in a read; the process must not wait for it.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// The code of a command that SIGPIPE has ended.
const BY_SIGPIPE: i32 = 141;

/// A closed pipe at the other end (`shoal ps | head`) ends us quietly, as it does any other command. Rust's programs ignore
/// that signal and `println!` panics instead, which is all there is to go by.
fn quiet_on_closed_pipes() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<String>();
        if said.is_some_and(|text| text.starts_with("failed printing to std") && text.contains("Broken pipe"))
        {
            std::process::exit(BY_SIGPIPE);
        }
        others(info);
    }));
}
