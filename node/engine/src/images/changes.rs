//! `--change`: Dockerfile instructions that alter an image's configuration.

use crate::error::{Result, invalid};
use shoal_api_types::Slice;
use shoal_api_types::container::HealthConfig;
use shoal_api_types::image::ImageConfig;
use shoal_node_core_host::{env, ports};
use std::path::Path;

/// What Docker lets be changed, and whether it is one argument with spaces in it, perhaps.
const WORDS: [(&str, bool); 11] = [
    ("CMD", false),
    ("ENTRYPOINT", false),
    ("ENV", false),
    ("EXPOSE", false),
    ("HEALTHCHECK", false),
    ("LABEL", false),
    ("ONBUILD", false),
    ("STOPSIGNAL", true),
    ("USER", true),
    ("VOLUME", false),
    ("WORKDIR", true),
];

/// Applies them in order.
pub fn apply(config: &mut ImageConfig, changes: &[String]) -> Result<()> {
    let mut own_command = false;
    for change in changes
        .iter()
        .flat_map(|c| c.lines())
        .map(str::trim)
        .filter(|c| !c.is_empty())
    {
        let (word, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
        one(config, word, rest.trim(), &mut own_command)?;
    }
    Ok(())
}

fn one(config: &mut ImageConfig, given: &str, rest: &str, own_command: &mut bool) -> Result<()> {
    let word = &*given.to_ascii_uppercase();
    let Some((_, one)) = WORDS.iter().find(|(known, _)| *known == word) else {
        return Err(invalid(format!("{given} is not a valid change command")));
    };
    if rest.is_empty() && !matches!(word, "CMD" | "ENTRYPOINT") {
        let count = if *one { "exactly" } else { "at least" };
        return Err(invalid(format!("{word} requires {count} one argument")));
    }
    match word {
        "CMD" => {
            // An empty list changes nothing.
            match command(rest) {
                words if words.is_empty() => {}
                words => config.cmd = words.into(),
            }
            *own_command = true;
        }
        "ENTRYPOINT" => match command(rest) {
            words if words.is_empty() || rest.is_empty() => config.entrypoint = Slice::nil(),
            words => {
                config.entrypoint = words.into();
                // A command that was meant for another entrypoint goes.
                if !*own_command {
                    config.cmd = Slice::nil();
                }
            }
        },
        "HEALTHCHECK" => config.healthcheck = Some(health(rest)?),
        "ENV" => {
            let pairs: Vec<String> = pairs(rest, word)?
                .into_iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            config.env = env::merge(&config.env, &pairs).into();
        }
        "LABEL" => {
            for (key, value) in pairs(rest, word)? {
                config.labels.insert(key, value);
            }
        }
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                let (first, last) = ports::parse_host(range)
                    .ok()
                    .filter(|(first, _)| *first > 0)
                    .ok_or_else(|| invalid(format!("Invalid containerPort: {range}")))?;
                ports::parse(&format!("{first}/{protocol}"))
                    .map_err(|_| invalid(format!("Invalid proto: {protocol}")))?;
                for number in first..=last {
                    let port = format!("{number}/{protocol}");
                    config.exposed_ports.insert(port, shoal_api_types::Empty);
                }
            }
        }
        "VOLUME" => {
            let list = json(rest).unwrap_or_else(|| rest.split_whitespace().map(String::from).collect());
            if list.is_empty() {
                return Err(invalid("VOLUME requires at least one argument"));
            }
            for path in list {
                config.volumes.insert(path, shoal_api_types::Empty);
            }
        }
        "USER" => config.user = rest.into(),
        "WORKDIR" => {
            let below = Path::new("/").join(&config.working_dir).join(rest);
            config.working_dir = below.to_string_lossy().into_owned();
        }
        "STOPSIGNAL" => {
            crate::units::signal(rest).ok_or_else(|| invalid(format!("invalid signal: {rest}")))?;
            config.stop_signal = rest.into();
        }
        "ONBUILD" => {
            let trigger = rest
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match trigger.as_str() {
                "ONBUILD" => return Err(invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
                "MAINTAINER" | "FROM" => {
                    return Err(invalid(format!("{trigger} isn't allowed as an ONBUILD trigger")));
                }
                _ => config.on_build.push(rest.into()),
            }
        }
        _ => {}
    }
    Ok(())
}

fn json(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `[--interval=… --retries=…] NONE|CMD …`.
fn health(text: &str) -> Result<HealthConfig> {
    let mut health = HealthConfig::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (word, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let bad = || {
            invalid(format!(
                "invalid value {value:?} of the flag --{key} of HEALTHCHECK"
            ))
        };
        let time = || crate::containers::duration_ns(value).ok_or_else(bad);
        match key {
            "interval" => health.interval = time()?,
            "timeout" => health.timeout = time()?,
            "start-period" => health.start_period = time()?,
            "start-interval" => health.start_interval = time()?,
            "retries" => health.retries = value.parse().map_err(|_| bad())?,
            _ => return Err(invalid(format!("unknown flag: --{key}"))),
        }
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let rest = rest.trim();
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err(invalid("HEALTHCHECK NONE takes no arguments")),
        "CMD" if rest.is_empty() => return Err(invalid("Missing command after HEALTHCHECK CMD")),
        "CMD" => match json(rest) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        kind => return Err(invalid(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    };
    health.test = test.into();
    Ok(health)
}

/// The list form as it is, anything else through a shell.
fn command(text: &str) -> Vec<String> {
    let shell = || {
        ["/bin/sh", "-c", text]
            .into_iter()
            .filter(|word| !word.is_empty())
    };
    json(text).unwrap_or_else(|| shell().map(String::from).collect())
}

/// `key=value key="other value"`, or the old `key value`.
fn pairs(text: &str, word: &str) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        return match text.split_once(char::is_whitespace) {
            Some((key, value)) => Ok(vec![(key.into(), value.trim().into())]),
            None => Err(invalid(format!("{word} must have two arguments"))),
        };
    }
    let words = words(text);
    words
        .into_iter()
        .map(|w| match w.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
            _ => Err(invalid(format!(
                "Syntax error - can't find = in {w:?}. Must be of the form: name=value"
            ))),
        })
        .collect()
}

/// Words with quotes and backslashes as a shell reads them.
fn words(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let (mut quote, mut begun) = (None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => (quote, begun) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    out.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            (c, _) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        out.push(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_change_the_configuration() {
        let mut config = ImageConfig::default();
        let changes = [
            "CMD [\"serve\", \"-v\"]",
            "entrypoint run it",
            "ENV A=1 B=\"two words\"",
            "ENV A 3",
            "LABEL x=y",
            "EXPOSE 80 53/udp",
            "USER web\nWORKDIR /srv",
        ];
        apply(&mut config, &changes.map(String::from)).expect("valid");
        assert_eq!(&config.cmd[..], ["serve", "-v"]);
        assert_eq!(&config.entrypoint[..], ["/bin/sh", "-c", "run it"]);
        assert_eq!(&config.env[..], ["A=3", "B=two words"]);
        assert!(config.exposed_ports.contains_key("53/udp") && config.exposed_ports.contains_key("80/tcp"));
        assert_eq!(
            (config.user.as_str(), config.working_dir.as_str()),
            ("web", "/srv")
        );
        apply(&mut config, &["ENTRYPOINT [\"x\"]".into()]).expect("valid");
        assert!(config.cmd.is_empty(), "another entrypoint, another command");
        let health = "HEALTHCHECK --interval=1m30s --retries=4 CMD wget -q localhost";
        apply(&mut config, &[health.into()]).expect("valid");
        let health = config.healthcheck.clone().expect("set");
        assert_eq!((health.interval, health.retries), (90_000_000_000, 4));
        assert_eq!(&health.test[..], ["CMD-SHELL", "wget -q localhost"]);
        apply(&mut config, &["WORKDIR sub".into(), "EXPOSE 90-91/udp".into()]).expect("valid");
        assert_eq!(config.working_dir, "/srv/sub");
        assert!(config.exposed_ports.contains_key("91/udp"));
        apply(&mut config, &["ENTRYPOINT []".into(), "CMD".into()]).expect("valid");
        assert!(config.entrypoint.is_empty());
        assert_eq!(&config.cmd[..], ["/bin/sh", "-c"]);
    }

    #[test]
    fn refusals_are_dockers() {
        for (change, words) in [
            ("FROM x", "FROM is not a valid change command"),
            ("shell", "shell is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("user", "USER requires exactly one argument"),
            ("VOLUME []", "VOLUME requires at least one argument"),
            ("EXPOSE x", "Invalid containerPort: x"),
            ("EXPOSE 0", "Invalid containerPort: 0"),
            ("EXPOSE 80/x", "Invalid proto: x"),
            ("STOPSIGNAL NOPE", "invalid signal: NOPE"),
            ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
            ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
            (
                "HEALTHCHECK nope y",
                "Unknown type \"NOPE\" in HEALTHCHECK (try CMD)",
            ),
            ("HEALTHCHECK --x=1 NONE", "unknown flag: --x"),
            (
                "ENV a=b c",
                "Syntax error - can't find = in \"c\". Must be of the form: name=value",
            ),
        ] {
            let refused = apply(&mut ImageConfig::default(), &[change.into()]);
            assert_eq!(refused.expect_err(change).message, words);
        }
    }
}
