//! Raw mode, and the terminal's size.

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use std::io::{Write, stdin, stdout};

/// The terminal in raw mode until this is dropped, however the command ends.
pub struct Raw(Termios);

impl Raw {
    /// None where standard input is no terminal.
    pub fn enter() -> Option<Raw> {
        let saved = termios::tcgetattr(stdin()).ok()?;
        let mut raw = saved.clone();
        raw.make_raw();
        termios::tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Raw(saved))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// A line that the terminal does not show.
pub fn hidden_line(prompt: &str) -> std::io::Result<String> {
    let saved = termios::tcgetattr(stdin())?;
    let mut silent = saved.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    termios::tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
    let shown = Raw(saved);
    let mut out = stdout();
    write!(out, "{prompt}")?;
    out.flush()?;
    let mut line = String::new();
    let read = stdin().read_line(&mut line);
    drop(shown);
    println!();
    read.map(|_| line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Rows and columns of standard output, if it is a terminal.
pub fn size() -> Option<(u16, u16)> {
    termios::tcgetwinsize(stdout())
        .ok()
        .map(|w| (w.ws_row, w.ws_col))
        .filter(|(rows, _)| *rows > 0)
}

pub fn is_terminal() -> bool {
    termios::isatty(stdin())
}
