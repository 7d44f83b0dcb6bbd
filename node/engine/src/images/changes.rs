//! `--change`: Dockerfile instructions that alter an image's configuration.

use crate::error::{Result, invalid};
use shoal_api_types::Slice;
use shoal_api_types::container::HealthConfig;
use shoal_api_types::image::ImageConfig;
use shoal_node_core_host::{env, ports};

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
    if rest.is_empty() {
        return Err(invalid(format!("{word} requires at least one argument")));
    }
    match word {
        "CMD" => {
            config.cmd = command(rest).into();
            *own_command = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = command(rest).into();
            // A command that was meant for another entrypoint goes.
            if !*own_command {
                config.cmd = Slice::nil();
            }
        }
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
                let (number, protocol) = ports::parse(port).map_err(invalid)?;
                config
                    .exposed_ports
                    .insert(format!("{number}/{protocol}"), shoal_api_types::Empty);
            }
        }
        "VOLUME" => {
            let list = json(rest).unwrap_or_else(|| rest.split_whitespace().map(String::from).collect());
            for path in list {
                config.volumes.insert(path, shoal_api_types::Empty);
            }
        }
        "USER" => config.user = rest.into(),
        "WORKDIR" => config.working_dir = rest.into(),
        "STOPSIGNAL" => {
            crate::units::signal(rest).ok_or_else(|| invalid(format!("invalid signal: {rest}")))?;
            config.stop_signal = rest.into();
        }
        "ONBUILD" => config.on_build.push(rest.into()),
        "SHELL" => {
            config.shell = match json(rest) {
                Some(words) => Slice::from(words),
                None => return Err(invalid("SHELL requires the arguments to be in JSON form")),
            };
        }
        _ => return Err(invalid(format!("{given} is not a valid change command"))),
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
        "CMD" if rest.is_empty() => return Err(invalid("missing command after HEALTHCHECK CMD")),
        "CMD" => match json(rest) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        _ => return Err(invalid(format!("unknown type {kind:?} in HEALTHCHECK (try CMD)"))),
    };
    health.test = test.into();
    Ok(health)
}

/// The list form as it is, anything else through a shell.
fn command(text: &str) -> Vec<String> {
    json(text).unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into(), text.into()])
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
        assert!(apply(&mut config, &["HEALTHCHECK --x=1 NONE".into()]).is_err());
        assert!(apply(&mut config, &["FROM x".into()]).is_err());
        assert!(apply(&mut config, &["STOPSIGNAL NOPE".into()]).is_err());
    }
}
