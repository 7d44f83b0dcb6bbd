//! `shoal swarm …`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::duration_of;
use anyhow::Result;
use clap::{Arg, ArgMatches, Command};
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["swarm", "init"],
            also: &[],
            about: "Initialize a swarm",
            args: |c| {
                addresses(c)
                    .arg(switch("autolock", "Enable manager autolocking"))
                    .arg(switch(
                        "force-new-cluster",
                        "Force create a new cluster from current state",
                    ))
                    .arg(many("default-addr-pool", "Default address pool in CIDR format"))
                    .arg(
                        one(
                            "availability",
                            "string",
                            "Availability of the node (active, pause, drain)",
                        )
                        .default_value("active"),
                    )
            },
            run: |s, m| Box::pin(init(s, m)),
        },
        Leaf {
            path: &["swarm", "join"],
            also: &[],
            about: "Join a swarm as a node and/or manager",
            args: |c| {
                addresses(c)
                    .arg(one("token", "string", "Token for entry into the swarm").required(true))
                    .arg(
                        one(
                            "availability",
                            "string",
                            "Availability of the node (active, pause, drain)",
                        )
                        .default_value("active"),
                    )
                    .arg(Arg::new("remote").value_name("HOST:PORT").required(true))
            },
            run: |s, m| Box::pin(join(s, m)),
        },
        Leaf {
            path: &["swarm", "leave"],
            also: &[],
            about: "Leave the swarm",
            args: |c| {
                c.arg(switch("force", "Force this node to leave the swarm, ignoring warnings").short('f'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let force = if on(m, "force") { "1" } else { "" };
                    s.client
                        .plain(
                            Method::POST,
                            &query("/swarm/leave", &[("force", force)]),
                            Body::Empty,
                        )
                        .await?;
                    println!("Node left the swarm.");
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["swarm", "join-token"],
            also: &[],
            about: "Manage join tokens",
            args: |c| {
                c.arg(switch("quiet", "Only display token").short('q'))
                    .arg(switch("rotate", "Rotate join token"))
                    .arg(
                        Arg::new("role")
                            .value_name("worker|manager")
                            .value_parser(["worker", "manager"])
                            .required(true),
                    )
            },
            run: |s, m| Box::pin(join_token(s, m)),
        },
        Leaf {
            path: &["swarm", "update"],
            also: &[],
            about: "Update the swarm",
            args: |c| {
                c.arg(one("task-history-limit", "int", "Task history retention limit"))
                    .arg(one(
                        "cert-expiry",
                        "duration",
                        "Validity period for node certificates (ns|us|ms|s|m|h)",
                    ))
                    .arg(one(
                        "dispatcher-heartbeat",
                        "duration",
                        "Dispatcher heartbeat period (ns|us|ms|s|m|h)",
                    ))
            },
            run: |s, m| Box::pin(update(s, m)),
        },
    ]
}

fn addresses(command: Command) -> Command {
    command
        .arg(one(
            "advertise-addr",
            "string",
            "Advertised address (format: <ip|interface>[:port])",
        ))
        .arg(
            one(
                "listen-addr",
                "node-addr",
                "Listen address (format: <ip|interface>[:port])",
            )
            .default_value("0.0.0.0:2377"),
        )
        .arg(one(
            "data-path-addr",
            "string",
            "Address or interface to use for data path traffic",
        ))
}

async fn init(s: &Session, m: &ArgMatches) -> Result<u8> {
    let body = json!({
        "ListenAddr": text(m, "listen-addr"), "AdvertiseAddr": text(m, "advertise-addr").unwrap_or_default(),
        "DataPathAddr": text(m, "data-path-addr").unwrap_or_default(), "ForceNewCluster": on(m, "force-new-cluster"),
        "DefaultAddrPool": list(m, "default-addr-pool"), "Availability": text(m, "availability"),
        "Spec": {"EncryptionConfig": {"AutoLockManagers": on(m, "autolock")}},
    });
    let id: String = s
        .client
        .json(Method::POST, "/swarm/init", Body::json(&body)?)
        .await?;
    println!("Swarm initialized: current node ({id}) is now a manager.\n");
    let swarm: Json = s.client.get("/swarm").await?;
    how_to_join(s, &swarm, "worker").await?;
    println!(
        "To add a manager to this swarm, run 'shoal swarm join-token manager' and follow the instructions.\n"
    );
    Ok(0)
}

async fn how_to_join(s: &Session, swarm: &Json, role: &str) -> Result<()> {
    let info: Json = s.client.get("/info").await?;
    let remote = info["Swarm"]["RemoteManagers"][0]["Addr"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let token = token(swarm, role);
    println!(
        "To add a {role} to this swarm, run the following command:\n\n    shoal swarm join --token {token} {remote}\n"
    );
    Ok(())
}

fn token<'a>(swarm: &'a Json, role: &str) -> &'a str {
    let key = if role == "manager" { "Manager" } else { "Worker" };
    swarm["JoinTokens"][key].as_str().unwrap_or_default()
}

async fn join(s: &Session, m: &ArgMatches) -> Result<u8> {
    let body = json!({
        "ListenAddr": text(m, "listen-addr"), "AdvertiseAddr": text(m, "advertise-addr").unwrap_or_default(),
        "DataPathAddr": text(m, "data-path-addr").unwrap_or_default(), "RemoteAddrs": [required(m, "remote")?],
        "JoinToken": required(m, "token")?, "Availability": text(m, "availability"),
    });
    s.client
        .plain(Method::POST, "/swarm/join", Body::json(&body)?)
        .await?;
    // The role is in the token; a member that is a manager has a status of its own.
    let info: Json = s.client.get("/info").await?;
    let path = format!("/nodes/{}", info["Swarm"]["NodeID"].as_str().unwrap_or_default());
    let node: shoal_api_client::Result<Json> = s.client.get(&path).await;
    let manager = node.is_ok_and(|n| n["Spec"]["Role"] == "manager");
    println!(
        "This node joined a swarm as a {}.",
        if manager { "manager" } else { "worker" }
    );
    Ok(0)
}

async fn join_token(s: &Session, m: &ArgMatches) -> Result<u8> {
    let role = required(m, "role")?;
    let mut swarm: Json = s.client.get("/swarm").await?;
    if on(m, "rotate") {
        let flag = if role == "manager" {
            "rotateManagerToken"
        } else {
            "rotateWorkerToken"
        };
        let version = swarm["Version"]["Index"].to_string();
        let path = query("/swarm/update", &[("version", &version), (flag, "true")]);
        s.client
            .plain(Method::POST, &path, Body::json(&swarm["Spec"])?)
            .await?;
        swarm = s.client.get("/swarm").await?;
        if !on(m, "quiet") {
            println!("Successfully rotated {role} join token.\n");
        }
    }
    if on(m, "quiet") {
        println!("{}", token(&swarm, role));
    } else {
        how_to_join(s, &swarm, role).await?;
    }
    Ok(0)
}

async fn update(s: &Session, m: &ArgMatches) -> Result<u8> {
    let mut swarm: Json = s.client.get("/swarm").await?;
    let version = swarm["Version"]["Index"].to_string();
    let spec = &mut swarm["Spec"];
    if let Some(limit) = number::<i64>(m, "task-history-limit")? {
        spec["Orchestration"]["TaskHistoryRetentionLimit"] = json!(limit);
    }
    if let Some(expiry) = text(m, "cert-expiry") {
        spec["CAConfig"]["NodeCertExpiry"] = json!(duration_of(expiry)?);
    }
    if let Some(period) = text(m, "dispatcher-heartbeat") {
        spec["Dispatcher"]["HeartbeatPeriod"] = json!(duration_of(period)?);
    }
    s.client
        .plain(
            Method::POST,
            &query("/swarm/update", &[("version", &version)]),
            Body::json(spec)?,
        )
        .await?;
    println!("Swarm updated.");
    Ok(0)
}
