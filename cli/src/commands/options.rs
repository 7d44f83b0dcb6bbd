//! Options as tables: a row says how an option is spelled, what it takes, and where in the request its value goes.

use super::parse::{list, nano_cpus, number, on, switch, text};
use crate::format::{bytes_of, duration_of};
use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value as Json, json};

/// What an option takes, and so what its value becomes in JSON.
#[derive(Clone, Copy, PartialEq)]
pub enum Takes {
    /// Nothing, or `=false`; true where it is given.
    Switch,
    Text,
    Int,
    Float,
    /// `64m`; -1 stands for no limit.
    Bytes,
    /// `1m30s`, in nanoseconds.
    Duration,
    /// `1.5`, in billionths of a CPU.
    Cpus,
    /// Text, any number of times.
    List,
}

impl Takes {
    fn value_name(self) -> &'static str {
        match self {
            Takes::Switch => "",
            Takes::Text => "string",
            Takes::Int => "int",
            Takes::Float => "float",
            Takes::Bytes => "bytes",
            Takes::Duration => "duration",
            Takes::Cpus => "decimal",
            Takes::List => "list",
        }
    }
}

/// One option. The place is a path of member names such as `HostConfig/Memory`; an empty one means that the command
/// reads the value itself.
pub struct Opt {
    /// `memory`, or with its letter `memory m`.
    pub name: &'static str,
    pub takes: Takes,
    pub place: &'static str,
    pub help: &'static str,
}

pub const fn opt(name: &'static str, takes: Takes, place: &'static str, help: &'static str) -> Opt {
    Opt {
        name,
        takes,
        place,
        help,
    }
}

impl Opt {
    fn spelled(&self) -> (&'static str, Option<char>) {
        match self.name.split_once(' ') {
            Some((long, short)) => (long, short.chars().next()),
            None => (self.name, None),
        }
    }

    fn arg(&self) -> Arg {
        let (long, short) = self.spelled();
        let arg = match self.takes {
            Takes::Switch => switch(long, self.help),
            takes => Arg::new(long)
                .long(long)
                .value_name(takes.value_name())
                .allow_hyphen_values(true)
                .help(self.help),
        };
        let arg = match self.takes {
            Takes::List => arg.action(ArgAction::Append),
            _ => arg,
        };
        match short {
            Some(letter) => arg.short(letter),
            None => arg,
        }
    }
}

pub fn args(command: Command, table: &[Opt]) -> Command {
    table.iter().fold(command, |c, option| c.arg(option.arg()))
}

/// Lays what was given onto the request; what was not given stays as it is there.
pub fn lay(m: &ArgMatches, table: &[Opt], request: &mut Json) -> Result<()> {
    for option in table.iter().filter(|o| !o.place.is_empty()) {
        let (name, _) = option.spelled();
        let value = match option.takes {
            Takes::Switch => on(m, name).then_some(Json::from(true)),
            Takes::Text => text(m, name).map(Json::from),
            Takes::Int => number::<i64>(m, name)?.map(Json::from),
            Takes::Float => number::<f64>(m, name)?.map(Json::from),
            Takes::Bytes => match text(m, name) {
                Some("-1") => Some(Json::from(-1)),
                Some(size) => Some(Json::from(bytes_of(size)?)),
                None => None,
            },
            Takes::Duration => text(m, name).map(duration_of).transpose()?.map(Json::from),
            Takes::Cpus => text(m, name).map(nano_cpus).transpose()?.map(Json::from),
            Takes::List => Some(list(m, name)).filter(|l| !l.is_empty()).map(|l| json!(l)),
        };
        if let Some(value) = value {
            let at = option
                .place
                .split('/')
                .fold(&mut *request, |at, key| &mut at[key]);
            *at = value;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_members_of_the_request() {
        let table = [
            opt("memory m", Takes::Bytes, "HostConfig/Memory", ""),
            opt("memory-swap", Takes::Bytes, "HostConfig/MemorySwap", ""),
            opt("dns", Takes::List, "HostConfig/Dns", ""),
            opt("init", Takes::Switch, "HostConfig/Init", ""),
            opt("other", Takes::Int, "HostConfig/Other", ""),
            opt("cpus", Takes::Cpus, "", ""),
        ];
        let line = "x -m 64m --memory-swap -1 --dns a --dns b --init --cpus 2";
        let m = args(Command::new("x"), &table).get_matches_from(line.split(' '));
        let mut request = json!({"HostConfig": {"Memory": 1, "Kept": 2}});
        lay(&m, &table, &mut request).unwrap();
        assert_eq!(
            request,
            json!({"HostConfig": {"Memory": 64 << 20, "Kept": 2, "MemorySwap": -1, "Dns": ["a", "b"], "Init": true}})
        );
        let m = args(Command::new("x"), &table).get_matches_from(["x", "--other", "nine"]);
        assert!(lay(&m, &table, &mut request).is_err());
    }
}
