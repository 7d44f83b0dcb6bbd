//! The command line, turned into the same keys and values that `daemon.json` has.

use crate::options::{KNOWN, Shape};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

/// What the command line said: options by their `daemon.json` key, and those that only exist as flags.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Args {
    pub options: Map<String, Value>,
    pub config_file: Option<String>,
    pub validate: bool,
}

pub fn command() -> Command {
    let mut command = Command::new("shoald")
        .about(
            "A Docker engine for one host or many: serves the Docker API, runs containers, forms a cluster",
        )
        .version(concat!(env!("CARGO_PKG_VERSION"), ", API 1.55"))
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Print version and quit"),
        )
        .after_help("Options may also stand in the configuration file under dockerd's names.");
    for known in KNOWN.iter().filter(|known| !known.in_file_only) {
        let mut arg = Arg::new(known.flag).long(known.flag).help(known.help);
        if let Some(short) = known.short {
            arg = arg.short(short);
        }
        arg = match known.shape {
            // A later flag wins, as with dockerd; `--flag=false` switches off.
            Shape::Bool => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(["true", "false", "1", "0"])
                .action(ArgAction::Set)
                .overrides_with(known.flag),
            Shape::Number => arg
                .value_parser(clap::value_parser!(i64))
                .allow_negative_numbers(true)
                .action(ArgAction::Set)
                .overrides_with(known.flag),
            Shape::Text | Shape::Size => arg.action(ArgAction::Set).overrides_with(known.flag),
            Shape::List | Shape::Map => arg.action(ArgAction::Append),
        };
        command = command.arg(arg.hide(known.used == crate::options::Use::NoMeaning));
    }
    command
}

/// Reads matched flags. `Map` values without `=` are refused.
pub fn read(matches: &ArgMatches) -> Result<Args, String> {
    let mut args = Args::default();
    for known in KNOWN.iter().filter(|known| !known.in_file_only) {
        if matches.value_source(known.flag) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        let value = match known.shape {
            Shape::Bool => Value::Bool(
                matches
                    .get_one::<String>(known.flag)
                    .is_some_and(|v| v == "true" || v == "1"),
            ),
            Shape::Text | Shape::Size => {
                Value::String(matches.get_one::<String>(known.flag).cloned().unwrap_or_default())
            }
            Shape::Number => Value::from(matches.get_one::<i64>(known.flag).copied().unwrap_or_default()),
            Shape::List => Value::from(
                matches
                    .get_many::<String>(known.flag)
                    .unwrap_or_default()
                    .cloned()
                    .collect::<Vec<_>>(),
            ),
            Shape::Map => {
                let mut map = Map::new();
                for pair in matches.get_many::<String>(known.flag).unwrap_or_default() {
                    let (key, value) = pair.split_once('=').ok_or_else(|| {
                        format!("invalid value {pair:?} for --{}: want key=value", known.flag)
                    })?;
                    let value = match known.key {
                        "runtimes" => json!({"path": value}),
                        "features" => Value::Bool(value == "true" || value == "1"),
                        _ => Value::String(value.to_owned()),
                    };
                    map.insert(key.to_owned(), value);
                }
                Value::Object(map)
            }
        };
        match known.flag {
            "config-file" => args.config_file = value.as_str().map(str::to_owned),
            "validate" => args.validate = value == Value::Bool(true),
            _ => {
                args.options.insert(known.key.to_owned(), value);
            }
        }
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        let matches = command()
            .try_get_matches_from(line.split_whitespace())
            .map_err(|e| e.to_string())?;
        read(&matches)
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_line_that_starts_dockerd_starts_us() {
        let args = parse(
            "shoald --config-file /x.json --data-root /d --exec-root /r --pidfile /p --host unix:///a.sock -H tcp://127.0.0.1:1 \
             --debug --storage-driver overlay2 --containerd /c.sock --containerd-namespace n --userland-proxy=false \
             --iptables=true --live-restore --live-restore=false --log-opt max-size=1m",
        )
        .unwrap();
        assert_eq!(args.config_file.as_deref(), Some("/x.json"));
        assert_eq!(
            args.options["hosts"],
            serde_json::json!(["unix:///a.sock", "tcp://127.0.0.1:1"])
        );
        assert_eq!(args.options["live-restore"], false);
        assert_eq!(args.options["debug"], true);
        assert_eq!(args.options["log-opts"]["max-size"], "1m");
        assert_eq!(args.options["userland-proxy"], false);
    }

    #[test]
    fn wrong_flags_are_refused() {
        assert!(
            parse("shoald --no-such-flag")
                .unwrap_err()
                .contains("--no-such-flag")
        );
        assert!(parse("shoald --mtu many").is_err());
        assert!(
            parse("shoald --log-opt nonsense")
                .unwrap_err()
                .contains("want key=value")
        );
    }
}
