//! `--network`: a name, or `name=…,alias=…,ip=…`; several give several endpoints.

use crate::commands::parse::*;
use anyhow::{Result, bail};
use clap::ArgMatches;
use serde_json::{Map, Value as Json, json};

pub fn name_of(spec: &str) -> String {
    let found = spec.split(',').find_map(|f| f.strip_prefix("name="));
    found.unwrap_or(spec).to_owned()
}

/// The request's `NetworkingConfig.EndpointsConfig`; the short options belong to the first network.
pub fn endpoints(m: &ArgMatches) -> Result<Map<String, Json>> {
    let mut all = Map::new();
    let mut specs = list(m, "network");
    if specs.is_empty() {
        specs.push("default".into());
    }
    for (i, spec) in specs.iter().enumerate() {
        let mut endpoint = if spec.contains('=') {
            advanced(spec)?
        } else {
            json!({})
        };
        if i == 0 {
            for (flag, key) in [("ip", "IPv4Address"), ("ip6", "IPv6Address")] {
                if let Some(ip) = text(m, flag) {
                    endpoint["IPAMConfig"][key] = json!(ip);
                }
            }
            let local = list(m, "link-local-ip");
            if !local.is_empty() {
                endpoint["IPAMConfig"]["LinkLocalIPs"] = json!(local);
            }
            let aliases = list(m, "network-alias");
            if !aliases.is_empty() {
                endpoint["Aliases"] = json!(aliases);
            }
            let links = list(m, "link");
            if !links.is_empty() && !matches!(spec.as_str(), "default" | "bridge") {
                endpoint["Links"] = json!(links);
            }
            if let Some(mac) = text(m, "mac-address") {
                endpoint["MacAddress"] = json!(mac);
            }
        }
        // A single plain network is the mode's business alone.
        if endpoint != json!({}) || specs.len() > 1 {
            all.insert(name_of(spec), endpoint);
        }
    }
    Ok(all)
}

fn advanced(spec: &str) -> Result<Json> {
    let mut endpoint = json!({});
    let (mut aliases, mut local, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for field in spec.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            bail!("invalid field {field}: expected a comma-separated list of key=value pairs");
        };
        match key.to_lowercase().as_str() {
            "name" => {}
            "alias" => aliases.push(value),
            "ip" => endpoint["IPAMConfig"]["IPv4Address"] = json!(value),
            "ip6" => endpoint["IPAMConfig"]["IPv6Address"] = json!(value),
            "mac-address" => endpoint["MacAddress"] = json!(value),
            "link-local-ip" => local.push(value),
            "driver-opt" => options.push(value.to_owned()),
            "gw-priority" => endpoint["GwPriority"] = json!(value.parse::<i64>()?),
            _ => bail!("invalid field key {key}"),
        }
    }
    if !aliases.is_empty() {
        endpoint["Aliases"] = json!(aliases);
    }
    if !local.is_empty() {
        endpoint["IPAMConfig"]["LinkLocalIPs"] = json!(local);
    }
    if !options.is_empty() {
        endpoint["DriverOpts"] = Json::Object(pairs(&options));
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form() {
        assert_eq!(name_of("name=a,ip=1.2.3.4"), "a");
        assert_eq!(name_of("web"), "web");
        assert_eq!(
            advanced("name=a,alias=x,alias=y,ip=1.2.3.4,driver-opt=k=v,gw-priority=2").unwrap(),
            json!({"IPAMConfig": {"IPv4Address": "1.2.3.4"}, "GwPriority": 2, "Aliases": ["x", "y"], "DriverOpts": {"k": "v"}})
        );
        assert!(advanced("name=a,what=1").is_err());
    }
}
