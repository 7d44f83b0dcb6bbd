//! What a SIGHUP has brought about, told as Docker tells it: an event `daemon reload` with the values that count now.

use crate::config::Config;
use serde_json::json;
use shoal_node_engine::Engine;
use std::collections::BTreeMap;

pub fn tell(engine: &Engine, config: &Config) {
    engine
        .events
        .publish("daemon", "reload", engine.id(), attributes(config));
}

fn attributes(config: &Config) -> BTreeMap<String, String> {
    let list = |items: &[String]| json!(items).to_string();
    let number = |value: i64, default: i64| if value == 0 { default } else { value }.to_string();
    let features: Vec<String> = config.features.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    let runtimes: Vec<String> = config
        .runtimes
        .iter()
        .map(|(name, runtime)| format!("{name}:{}", runtime.path))
        .collect();
    let cgroupns = match config.default_cgroupns_mode.as_str() {
        "" => "host",
        mode => mode,
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut out = BTreeMap::from(
        [
            ("debug", config.debug.to_string()),
            ("default-cgroupns-mode", cgroupns.into()),
            ("default-ipc-mode", config.default_ipc_mode.clone()),
            ("default-runtime", config.default_runtime.clone()),
            (
                "default-shm-size",
                config.shm_bytes().unwrap_or(64 << 20).to_string(),
            ),
            ("features", format!("map[{}]", features.join(" "))),
            ("insecure-registries", list(&config.insecure_registries)),
            ("labels", list(&config.labels)),
            ("live-restore", config.live_restore.to_string()),
            (
                "max-concurrent-downloads",
                number(config.max_concurrent_downloads, 3),
            ),
            ("max-concurrent-uploads", number(config.max_concurrent_uploads, 5)),
            ("max-download-attempts", number(config.max_download_attempts, 5)),
            ("name", name),
            ("registry-mirrors", list(&config.registry_mirrors)),
            ("runtimes", runtimes.join(" ")),
            ("shutdown-timeout", config.shutdown_timeout.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    if !config.authorization_plugins.is_empty() {
        out.insert(
            "authorization-plugins".into(),
            list(&config.authorization_plugins),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_docker_writes_them() {
        let config = Config {
            labels: vec!["a=b".into(), "c=e".into()],
            features: [("x".to_owned(), json!(true)), ("y".to_owned(), json!(false))].into(),
            max_concurrent_downloads: 0,
            ..Config::default()
        };
        let told = attributes(&config);
        assert_eq!(told["labels"], r#"["a=b","c=e"]"#);
        assert_eq!(told["features"], "map[x:true y:false]");
        assert_eq!(told["insecure-registries"], "[]");
        assert_eq!(told["max-concurrent-downloads"], "3");
        assert!(!told.contains_key("authorization-plugins"));
    }
}
