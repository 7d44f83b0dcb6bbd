//! Devices: passed in, asked for (`--gpus`), and held back (`--device-read-bps` and its kin).

use super::host::each_of;
use crate::commands::parse::*;
use crate::format::bytes_of;
use anyhow::{Result, anyhow, bail};
use clap::ArgMatches;
use serde_json::{Value as Json, json};

pub fn lay(m: &ArgMatches, host: &mut Json) -> Result<()> {
    let (mut devices, mut named) = (Vec::new(), Vec::new());
    for spec in list(m, "device") {
        match is_cdi(&spec) {
            true => named.push(spec),
            false => devices.push(device(&spec)?),
        }
    }
    host["Devices"] = json!(devices);
    let mut requests = Vec::new();
    if !named.is_empty() {
        requests.push(json!({"Driver": "cdi", "DeviceIDs": named}));
    }
    if let Some(spec) = text(m, "gpus") {
        requests.push(gpus(spec)?);
    }
    if !requests.is_empty() {
        host["DeviceRequests"] = json!(requests);
    }
    for (flag, key, read) in [
        (
            "blkio-weight-device",
            "BlkioWeightDevice",
            weight as fn(&str) -> Result<Json>,
        ),
        ("device-read-bps", "BlkioDeviceReadBps", bytes_rate),
        ("device-write-bps", "BlkioDeviceWriteBps", bytes_rate),
        ("device-read-iops", "BlkioDeviceReadIOps", count_rate),
        ("device-write-iops", "BlkioDeviceWriteIOps", count_rate),
    ] {
        if !list(m, flag).is_empty() {
            host[key] = each_of(m, flag, read)?;
        }
    }
    Ok(())
}

/// `vendor.com/class=name`, as the Container Device Interface names devices.
fn is_cdi(spec: &str) -> bool {
    !spec.starts_with('/')
        && spec
            .split_once('=')
            .is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
}

fn device(text: &str) -> Result<Json> {
    let parts: Vec<&str> = text.split(':').collect();
    let access = |a: &str| !a.is_empty() && a.chars().all(|c| "rwm".contains(c));
    let (host, inside, permissions) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, a] if access(a) => (host, host, a),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, a] if access(a) => (host, inside, a),
        _ => bail!("invalid device specification: {text}"),
    };
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": permissions}))
}

/// `all`, `2`, or `driver=…,count=…,device=…,capabilities=…`; the value of a key may be quoted to hold commas.
fn gpus(spec: &str) -> Result<Json> {
    let number = |n: &str| match n {
        "all" => Ok(-1),
        n => n
            .parse::<i64>()
            .map_err(|_| anyhow!("invalid count ({n}): value must be either \"all\" or an integer")),
    };
    if !spec.contains('=') {
        return Ok(json!({"Count": number(spec)?, "Capabilities": [["gpu"]]}));
    }
    let mut request = json!({"Capabilities": [["gpu"]]});
    let mut fields: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for c in spec.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => {
                if let Some(last) = fields.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    for field in fields {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        let words = || value.split(',').collect::<Vec<_>>();
        match key {
            "driver" => request["Driver"] = json!(value),
            "count" => request["Count"] = json!(number(value)?),
            "device" => request["DeviceIDs"] = json!(words()),
            "capabilities" => {
                let mut all = words();
                if !all.contains(&"gpu") {
                    all.push("gpu");
                }
                request["Capabilities"] = json!([all]);
            }
            "options" => {
                request["Options"] =
                    Json::Object(pairs(&words().into_iter().map(str::to_owned).collect::<Vec<_>>()))
            }
            _ => bail!("unexpected key '{key}' in '{field}'"),
        }
    }
    if request["Count"].is_null() && request["DeviceIDs"].is_null() {
        request["Count"] = json!(1);
    }
    Ok(request)
}

fn of_device<'a>(text: &'a str, what: &str) -> Result<(&'a str, &'a str)> {
    match text.split_once(':') {
        Some((path, value)) if path.starts_with("/dev/") => Ok((path, value)),
        _ => bail!("bad format for device path: {text}, the correct format is <device-path>:<{what}>"),
    }
}

fn weight(text: &str) -> Result<Json> {
    let (path, value) = of_device(text, "weight")?;
    let weight: u16 = value
        .parse()
        .map_err(|_| anyhow!("invalid weight for device: {text}"))?;
    if weight != 0 && !(10..=1000).contains(&weight) {
        bail!("invalid weight for device: {text}");
    }
    Ok(json!({"Path": path, "Weight": weight}))
}

fn bytes_rate(text: &str) -> Result<Json> {
    let (path, value) = of_device(text, "number>[<unit>]")?;
    Ok(json!({"Path": path, "Rate": bytes_of(value)?}))
}

fn count_rate(text: &str) -> Result<Json> {
    let (path, value) = of_device(text, "number")?;
    let rate: u64 = value
        .parse()
        .map_err(|_| anyhow!("invalid rate for device: {text}"))?;
    Ok(json!({"Path": path, "Rate": rate}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_rates_as_docker_writes_them() {
        assert_eq!(device("/dev/a:r").unwrap()["CgroupPermissions"], "r");
        assert_eq!(device("/dev/a:/dev/b:rw").unwrap()["PathInContainer"], "/dev/b");
        assert!(device("/dev/a:/dev/b:x").is_err() && device("a:b:c:d").is_err());
        assert!(is_cdi("vendor.com/gpu=all") && !is_cdi("/dev/a=b"));
        assert_eq!(
            gpus("all").unwrap(),
            json!({"Count": -1, "Capabilities": [["gpu"]]})
        );
        assert_eq!(
            gpus("\"device=1,2\",driver=nvidia").unwrap(),
            json!({"Capabilities": [["gpu"]], "DeviceIDs": ["1", "2"], "Driver": "nvidia"})
        );
        assert!(gpus("x").is_err() && gpus("what=1").is_err());
        assert_eq!(
            bytes_rate("/dev/a:1mb").unwrap(),
            json!({"Path": "/dev/a", "Rate": 1 << 20})
        );
        assert!(
            weight("/dev/a:5").is_err() && count_rate("a:1").is_err() && count_rate("/dev/a:-1").is_err()
        );
    }
}
