//! `service create`, `update`, `scale` and `rollback`.

use super::options::{apply, common, publish};
use crate::app::{Leaf, Session};
use crate::commands::image;
use crate::commands::parse::*;
use anyhow::{Result, anyhow, bail};
use clap::ArgMatches;
use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};
use std::io::{IsTerminal, Write};
use std::time::Duration;

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["service", "create"],
            also: &[],
            about: "Create a new service",
            args: |c| {
                image_and_command(
                    common(c)
                        .arg(one("name", "string", "Service name"))
                        .arg(
                            one(
                                "mode",
                                "string",
                                "Service mode (replicated, global, replicated-job, global-job)",
                            )
                            .default_value("replicated"),
                        )
                        .arg(many("env", "Set environment variables").short('e'))
                        .arg(many("label", "Service labels").short('l'))
                        .arg(many("container-label", "Container labels"))
                        .arg(many("constraint", "Placement constraints"))
                        .arg(many(
                            "placement-pref",
                            "Add a placement preference (spread=node.labels.x)",
                        ))
                        .arg(many("publish", "Publish a port as a node port").short('p'))
                        .arg(many("mount", "Attach a filesystem mount to the service"))
                        .arg(many("network", "Network attachments"))
                        .arg(many("cap-add", "Add Linux capabilities"))
                        .arg(many("cap-drop", "Drop Linux capabilities"))
                        .arg(many(
                            "group",
                            "Set one or more supplementary user groups for the container",
                        ))
                        .arg(many("dns", "Set custom DNS servers"))
                        .arg(
                            many("host", "Set one or more custom host-to-IP mappings (host:ip)").id("hosts"),
                        ),
                )
            },
            run: |s, m| Box::pin(create(s, m)),
        },
        Leaf {
            path: &["service", "update"],
            also: &[],
            about: "Update a service",
            args: |c| {
                common(name(c, "SERVICE"))
                    .arg(one("image", "string", "Service image tag"))
                    .arg(one("args", "command", "Service command args"))
                    .arg(switch("force", "Force update even if no changes require it"))
                    .arg(switch("rollback", "Rollback to previous specification"))
                    .arg(many("env-add", "Add or update an environment variable"))
                    .arg(many("env-rm", "Remove an environment variable"))
                    .arg(many("label-add", "Add or update a service label"))
                    .arg(many("label-rm", "Remove a label by its key"))
                    .arg(many("constraint-add", "Add or update a placement constraint"))
                    .arg(many("constraint-rm", "Remove a constraint"))
                    .arg(many("publish-add", "Add or update a published port"))
                    .arg(many("mount-add", "Add or update a mount on a service"))
            },
            run: |s, m| Box::pin(update(s, m)),
        },
        Leaf {
            path: &["service", "scale"],
            also: &[],
            about: "Scale one or multiple replicated services",
            args: |c| {
                names(c, "SERVICE=REPLICAS").arg(
                    switch(
                        "detach",
                        "Exit immediately instead of waiting for the service to converge",
                    )
                    .short('d'),
                )
            },
            run: |s, m| Box::pin(scale(s, m)),
        },
        Leaf {
            path: &["service", "rollback"],
            also: &[],
            about: "Revert changes to a service's configuration",
            args: |c| {
                name(c, "SERVICE")
                    .arg(
                        switch(
                            "detach",
                            "Exit immediately instead of waiting for the service to converge",
                        )
                        .short('d'),
                    )
                    .arg(switch("quiet", "Suppress progress output").short('q'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let service: Json = s
                        .client
                        .get(&format!("/services/{}", required(m, "name")?))
                        .await?;
                    send(s, &service, &service["Spec"], "previous").await?;
                    println!("{}", required(m, "name")?);
                    settle(s, m, service["ID"].as_str().unwrap_or_default()).await
                })
            },
        },
    ]
}

async fn create(s: &Session, m: &ArgMatches) -> Result<u8> {
    let image_name = required(m, "image")?;
    let mode = match text(m, "mode").unwrap_or("replicated") {
        "replicated" => json!({"Replicated": {"Replicas": 1}}),
        "global" => json!({"Global": {}}),
        "replicated-job" => json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}),
        "global-job" => json!({"GlobalJob": {}}),
        other => bail!("Unknown mode: {other}, only replicated and global supported"),
    };
    let mut container = json!({"Image": image_name, "Labels": pairs(&list(m, "container-label"))});
    let mut put = |key: &str, value: Json| {
        if value.as_array().is_none_or(|a| !a.is_empty()) {
            container[key] = value;
        }
    };
    put("Args", json!(list(m, "command")));
    put("Env", json!(environment(&list(m, "env"))));
    put(
        "Mounts",
        Json::Array(list(m, "mount").iter().map(|x| mount(x)).collect::<Result<_>>()?),
    );
    put("CapabilityAdd", json!(list(m, "cap-add")));
    put("CapabilityDrop", json!(list(m, "cap-drop")));
    put("Groups", json!(list(m, "group")));
    let dns = list(m, "dns");
    if !dns.is_empty() {
        put("DNSConfig", json!({"Nameservers": dns}));
    }
    put(
        "Hosts",
        json!(
            list(m, "hosts")
                .iter()
                .filter_map(|h| h.split_once(':').map(|(name, ip)| format!("{ip} {name}")))
                .collect::<Vec<_>>()
        ),
    );
    let preferences: Vec<Json> = list(m, "placement-pref")
        .iter()
        .map(|p| match p.split_once('=') {
            Some(("spread", by)) => Ok(json!({"Spread": {"SpreadDescriptor": by}})),
            _ => Err(anyhow!(
                "unsupported placement preference {p} (only spread is supported)"
            )),
        })
        .collect::<Result<_>>()?;
    let mut spec = json!({
        "Name": text(m, "name").unwrap_or_default(), "Labels": pairs(&list(m, "label")), "Mode": mode,
        "TaskTemplate": {"ContainerSpec": container, "ForceUpdate": 0},
    });
    let constraints = list(m, "constraint");
    if !constraints.is_empty() || !preferences.is_empty() {
        spec["TaskTemplate"]["Placement"] = json!({"Constraints": constraints, "Preferences": preferences});
    }
    let networks = list(m, "network");
    if !networks.is_empty() {
        spec["TaskTemplate"]["Networks"] = networks.iter().map(|n| json!({"Target": n})).collect();
    }
    let ports: Vec<Json> = list(m, "publish")
        .iter()
        .map(|p| publish(p))
        .collect::<Result<_>>()?;
    if !ports.is_empty() {
        spec["EndpointSpec"] = json!({"Ports": ports});
    }
    apply(m, &mut spec)?;
    prune_nulls(&mut spec);
    let headers = if on(m, "with-registry-auth") {
        image::auth(image_name)
    } else {
        HeaderMap::new()
    };
    let made: Json = s
        .client
        .json_with(Method::POST, "/services/create", Body::json(&spec)?, headers)
        .await?;
    for warning in made["Warnings"].as_array().into_iter().flatten() {
        eprintln!("{}", warning.as_str().unwrap_or_default());
    }
    let id = made["ID"].as_str().unwrap_or_default();
    println!("{id}");
    settle(s, m, id).await
}

/// Indexing makes members that nothing was put into; those are taken out again.
fn prune_nulls(value: &mut Json) {
    if let Json::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(prune_nulls);
    }
}

async fn update(s: &Session, m: &ArgMatches) -> Result<u8> {
    let name = required(m, "name")?;
    let service: Json = s.client.get(&format!("/services/{name}")).await?;
    if on(m, "rollback") {
        send(s, &service, &service["Spec"], "previous").await?;
        println!("{name}");
        return settle(s, m, service["ID"].as_str().unwrap_or_default()).await;
    }
    let mut spec = service["Spec"].clone();
    apply(m, &mut spec)?;
    let template = &mut spec["TaskTemplate"];
    if let Some(image) = text(m, "image") {
        template["ContainerSpec"]["Image"] = json!(image);
    }
    if let Some(args) = text(m, "args") {
        template["ContainerSpec"]["Args"] = json!(args.split_whitespace().collect::<Vec<_>>());
    }
    if on(m, "force") {
        template["ForceUpdate"] = json!(template["ForceUpdate"].as_u64().unwrap_or(0) + 1);
    }
    let key_of = |item: &str| item.split('=').next().unwrap_or_default().to_owned();
    let (added, removed) = (environment(&list(m, "env-add")), list(m, "env-rm"));
    if !added.is_empty() || !removed.is_empty() {
        let mut env: Vec<String> = template["ContainerSpec"]["Env"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|e| e.as_str())
            .map(str::to_owned)
            .collect();
        env.retain(|e| !removed.contains(&key_of(e)) && !added.iter().any(|a| key_of(a) == key_of(e)));
        env.extend(added);
        template["ContainerSpec"]["Env"] = json!(env);
    }
    edit_list(
        &mut template["Placement"]["Constraints"],
        list(m, "constraint-add"),
        &list(m, "constraint-rm"),
    );
    let mounts: Vec<Json> = list(m, "mount-add")
        .iter()
        .map(|x| mount(x))
        .collect::<Result<_>>()?;
    if !mounts.is_empty() {
        let mut all = template["ContainerSpec"]["Mounts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.retain(|old| !mounts.iter().any(|new| new["Target"] == old["Target"]));
        all.extend(mounts);
        template["ContainerSpec"]["Mounts"] = Json::Array(all);
    }
    for (key, value) in pairs(&list(m, "label-add")) {
        spec["Labels"][key] = value;
    }
    for key in list(m, "label-rm") {
        if let Some(labels) = spec["Labels"].as_object_mut() {
            labels.remove(&key);
        }
    }
    let ports: Vec<Json> = list(m, "publish-add")
        .iter()
        .map(|p| publish(p))
        .collect::<Result<_>>()?;
    if !ports.is_empty() {
        let mut all = spec["EndpointSpec"]["Ports"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.extend(ports);
        spec["EndpointSpec"]["Ports"] = Json::Array(all);
    }
    prune_nulls(&mut spec);
    send(s, &service, &spec, "").await?;
    println!("{name}");
    settle(s, m, service["ID"].as_str().unwrap_or_default()).await
}

fn edit_list(value: &mut Json, add: Vec<String>, remove: &[String]) {
    if add.is_empty() && remove.is_empty() {
        return;
    }
    let mut all: Vec<String> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .map(str::to_owned)
        .collect();
    all.retain(|item| !remove.contains(item) && !add.contains(item));
    all.extend(add);
    *value = json!(all);
}

async fn scale(s: &Session, m: &ArgMatches) -> Result<u8> {
    let mut ids = Vec::new();
    for pair in list(m, "names") {
        let (name, count) = pair
            .split_once('=')
            .ok_or_else(|| anyhow!("invalid scale specifier '{pair}'"))?;
        let count: u64 = count
            .parse()
            .map_err(|_| anyhow!("invalid replicas value {count}"))?;
        let service: Json = s.client.get(&format!("/services/{name}")).await?;
        let mut spec = service["Spec"].clone();
        if spec["Mode"]["Replicated"].is_null() {
            bail!("{name}: scale can only be used with replicated or replicated-job mode");
        }
        spec["Mode"]["Replicated"]["Replicas"] = json!(count);
        send(s, &service, &spec, "").await?;
        println!("{name} scaled to {count}");
        ids.push(service["ID"].as_str().unwrap_or_default().to_owned());
    }
    if !on(m, "detach") {
        for id in ids {
            converge(s, &id, false).await?;
        }
    }
    Ok(0)
}

async fn send(s: &Session, service: &Json, spec: &Json, rollback: &str) -> Result<()> {
    let path = format!("/services/{}/update", service["ID"].as_str().unwrap_or_default());
    let version = service["Version"]["Index"].to_string();
    let path = query(&path, &[("version", &version), ("rollback", rollback)]);
    let answer: Json = s.client.json(Method::POST, &path, Body::json(spec)?).await?;
    for warning in answer["Warnings"].as_array().into_iter().flatten() {
        eprintln!("{}", warning.as_str().unwrap_or_default());
    }
    Ok(())
}

async fn settle(s: &Session, m: &ArgMatches, id: &str) -> Result<u8> {
    if !on(m, "detach") {
        converge(s, id, on(m, "quiet")).await?;
    }
    Ok(0)
}

/// Waits until as many tasks run as are wanted (and an update is over), with a bar where there is a terminal.
async fn converge(s: &Session, id: &str, quiet: bool) -> Result<()> {
    let terminal = std::io::stdout().is_terminal() && !quiet;
    let path = query(
        "/services",
        &[("status", "true"), ("filters", &json!({"id": [id]}).to_string())],
    );
    loop {
        let services: Vec<Json> = s.client.get(&path).await?;
        let service = services
            .first()
            .ok_or_else(|| anyhow!("service {id} was removed"))?;
        let status = &service["ServiceStatus"];
        let (running, wanted) = (
            status["RunningTasks"].as_u64().unwrap_or(0),
            status["DesiredTasks"].as_u64().unwrap_or(0),
        );
        let update = service["UpdateStatus"]["State"].as_str().unwrap_or_default();
        if terminal {
            let share = (running.min(wanted) * 50).checked_div(wanted).unwrap_or(50);
            let filled = usize::try_from(share).unwrap_or(50);
            print!(
                "\r\x1b[2Koverall progress: {running} out of {wanted} tasks [{}>{}]",
                "=".repeat(filled),
                " ".repeat(50 - filled)
            );
            std::io::stdout().flush()?;
        }
        if update.contains("paused") {
            bail!(
                "service update paused: {}",
                service["UpdateStatus"]["Message"].as_str().unwrap_or_default()
            );
        }
        if running >= wanted && !["updating", "rollback_started"].contains(&update) {
            if terminal {
                println!();
            }
            if !quiet {
                println!("verify: Service {id} converged");
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
