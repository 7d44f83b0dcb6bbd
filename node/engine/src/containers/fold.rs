//! A container's configuration folded over its image's, as `docker create` does it.

use crate::error::{Result, invalid};
use shoal_api_types::container::Config;
use shoal_api_types::image::ImageConfig;
use shoal_node_core_host::env;

/// Fills what the container does not say from the image. The container's own words always win.
pub fn fold(mut own: Config, image: &ImageConfig) -> Config {
    if own.user.is_empty() {
        own.user = image.user.clone();
    }
    for (port, empty) in image.exposed_ports.iter() {
        own.exposed_ports.to_mut().entry(port.clone()).or_insert(*empty);
    }
    for (path, empty) in image.volumes.iter() {
        own.volumes.to_mut().entry(path.clone()).or_insert(*empty);
    }
    if own.volumes.is_empty() {
        own.volumes = image.volumes.clone();
    }
    if !image.env.is_empty() {
        own.env = env::with_image(&own.env, &image.env).into();
    }
    for (key, value) in image.labels.iter() {
        own.labels
            .to_mut()
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    // A container's own entrypoint leaves nothing of the image's command.
    if own.entrypoint.is_empty() && own.entrypoint.is_nil() {
        if own.cmd.is_empty() {
            own.cmd = image.cmd.clone();
            own.args_escaped = image.args_escaped;
        }
        own.entrypoint = image.entrypoint.clone();
    }
    if own.entrypoint.len() == 1 && own.entrypoint[0].is_empty() {
        own.entrypoint = Default::default();
    }
    if own.working_dir.is_empty() {
        own.working_dir = image.working_dir.clone();
    }
    if own.stop_signal.is_empty() {
        own.stop_signal = image.stop_signal.clone();
    }
    if own.shell.is_empty() {
        own.shell = image.shell.clone();
    }
    if own.labels.is_nil() {
        own.labels = shoal_api_types::Dict::new();
    }
    match (&mut own.healthcheck, &image.healthcheck) {
        (None, of_image) => own.healthcheck = of_image.clone(),
        (Some(mine), Some(of_image)) => {
            if mine.test.is_empty() {
                mine.test = of_image.test.clone();
            }
            for (mine, of_image) in [
                (&mut mine.interval, of_image.interval),
                (&mut mine.timeout, of_image.timeout),
                (&mut mine.start_period, of_image.start_period),
                (&mut mine.start_interval, of_image.start_interval),
                (&mut mine.retries, of_image.retries),
            ] {
                if *mine == 0 {
                    *mine = of_image;
                }
            }
        }
        _ => {}
    }
    own
}

/// What is executed: the first word and the rest.
pub fn command(config: &Config) -> Result<(String, Vec<String>)> {
    let mut words = config.entrypoint.iter().chain(config.cmd.iter()).cloned();
    match words.next() {
        Some(path) => Ok((path, words.collect())),
        None => Err(invalid("no command specified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_api_types::Slice;

    fn list(words: &[&str]) -> Slice<String> {
        Slice::from(words.iter().map(|w| w.to_string()).collect::<Vec<_>>())
    }

    fn image() -> ImageConfig {
        ImageConfig {
            cmd: list(&["serve"]),
            entrypoint: list(&["/init"]),
            env: list(&["PATH=/bin", "A=1"]),
            ..ImageConfig::default()
        }
    }

    fn words(own: Config) -> Result<Vec<String>> {
        let (path, args) = command(&fold(own, &image()))?;
        Ok(std::iter::once(path).chain(args).collect())
    }

    #[test]
    fn entrypoint_and_command_mix_as_docker_mixes_them() {
        assert_eq!(words(Config::default()).expect("words"), ["/init", "serve"]);
        assert_eq!(
            words(Config {
                cmd: list(&["x"]),
                ..Config::default()
            })
            .expect("words"),
            ["/init", "x"]
        );
        assert_eq!(
            words(Config {
                entrypoint: list(&["sh"]),
                ..Config::default()
            })
            .expect("words"),
            ["sh"]
        );
        let none = Config {
            entrypoint: list(&[""]),
            cmd: list(&["ls"]),
            ..Config::default()
        };
        assert_eq!(words(none).expect("words"), ["ls"]);
        let nothing = Config {
            entrypoint: list(&[""]),
            ..Config::default()
        };
        assert_eq!(
            words(nothing).expect_err("nothing to run").message,
            "no command specified"
        );
    }

    #[test]
    fn the_containers_environment_wins() {
        let own = Config {
            env: list(&["A=2"]),
            ..Config::default()
        };
        assert_eq!(fold(own, &image()).env, list(&["A=2", "PATH=/bin"]));
    }
}
