//! `port`.

use crate::app::Leaf;
use crate::commands::parse::*;
use anyhow::bail;
use clap::Arg;
use serde_json::Value as Json;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "port"],
        also: &[&["port"]],
        about: "List port mappings or a specific mapping for the container",
        args: |c| name(c, "CONTAINER").arg(Arg::new("port").value_name("PRIVATE_PORT[/PROTO]")),
        run: |s, m| {
            Box::pin(async move {
                let id = required(m, "name")?;
                let info: Json = s.client.get(&format!("/containers/{id}/json")).await?;
                let wanted = text(m, "port").map(|p| {
                    if p.contains('/') {
                        p.to_owned()
                    } else {
                        format!("{p}/tcp")
                    }
                });
                let mut lines = Vec::new();
                for (port, bindings) in info["NetworkSettings"]["Ports"].as_object().into_iter().flatten() {
                    if wanted.as_ref().is_some_and(|w| w != port) {
                        continue;
                    }
                    for b in bindings.as_array().into_iter().flatten() {
                        let (ip, host) = (
                            b["HostIp"].as_str().unwrap_or_default(),
                            b["HostPort"].as_str().unwrap_or_default(),
                        );
                        let to = if ip.contains(':') {
                            format!("[{ip}]:{host}")
                        } else {
                            format!("{ip}:{host}")
                        };
                        lines.push(if wanted.is_some() {
                            to
                        } else {
                            format!("{port} -> {to}")
                        });
                    }
                }
                if let (Some(wanted), true) = (wanted, lines.is_empty()) {
                    bail!("no public port '{wanted}' published for {id}");
                }
                lines.sort();
                lines.iter().for_each(|l| println!("{l}"));
                Ok(0)
            })
        },
    }
}
