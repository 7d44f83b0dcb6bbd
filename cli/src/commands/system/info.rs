//! `info`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{human_size, render};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::Value as Json;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["system", "info"],
        also: &[&["info"]],
        about: "Display system-wide information",
        args: |c| c.arg(one("format", "string", "Format output using a custom template").short('f')),
        run: |s, m| Box::pin(info(s, m)),
    }
}

async fn info(s: &Session, m: &ArgMatches) -> Result<u8> {
    let info: Json = s.client.get("/info").await?;
    if let Some(format) = text(m, "format") {
        println!("{}", render(format, &info)?);
        return Ok(0);
    }
    let show = |key: &str| match &info[key] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    println!(
        "Client: Shoal\n Version:    {}\n\nServer:",
        env!("CARGO_PKG_VERSION")
    );
    println!(" Containers: {}", show("Containers"));
    println!(
        "  Running: {}\n  Paused: {}\n  Stopped: {}",
        show("ContainersRunning"),
        show("ContainersPaused"),
        show("ContainersStopped")
    );
    println!(
        " Images: {}\n Server Version: {}\n Storage Driver: {}",
        show("Images"),
        show("ServerVersion"),
        show("Driver")
    );
    for pair in info["DriverStatus"].as_array().into_iter().flatten() {
        println!(
            "  {}: {}",
            pair[0].as_str().unwrap_or(""),
            pair[1].as_str().unwrap_or("")
        );
    }
    println!(
        " Logging Driver: {}\n Cgroup Driver: {}\n Cgroup Version: {}",
        show("LoggingDriver"),
        show("CgroupDriver"),
        show("CgroupVersion")
    );
    let swarm = &info["Swarm"];
    println!(
        " Swarm: {}",
        swarm["LocalNodeState"].as_str().unwrap_or("inactive")
    );
    if swarm["LocalNodeState"] == "active" {
        println!("  NodeID: {}", swarm["NodeID"].as_str().unwrap_or(""));
        println!(
            "  Is Manager: {}",
            swarm["Managers"].as_u64().unwrap_or(0) > 0 && swarm["ControlAvailable"] == true
        );
        if let Some(id) = swarm["Cluster"]["ID"].as_str() {
            println!("  ClusterID: {id}");
        }
        println!("  Managers: {}\n  Nodes: {}", swarm["Managers"], swarm["Nodes"]);
        println!("  Node Address: {}", swarm["NodeAddr"].as_str().unwrap_or(""));
        println!("  Manager Addresses:");
        for manager in swarm["RemoteManagers"].as_array().into_iter().flatten() {
            println!("   {}", manager["Addr"].as_str().unwrap_or(""));
        }
    }
    println!(
        " Kernel Version: {}\n Operating System: {}\n OSType: {}",
        show("KernelVersion"),
        show("OperatingSystem"),
        show("OSType")
    );
    println!(" Architecture: {}\n CPUs: {}", show("Architecture"), show("NCPU"));
    println!(
        " Total Memory: {}",
        human_size(info["MemTotal"].as_f64().unwrap_or(0.0))
    );
    println!(
        " Name: {}\n ID: {}\n Docker Root Dir: {}",
        show("Name"),
        show("ID"),
        show("DockerRootDir")
    );
    println!(
        " Debug Mode: {}\n Live Restore Enabled: {}",
        show("Debug"),
        show("LiveRestoreEnabled")
    );
    for warning in info["Warnings"].as_array().into_iter().flatten() {
        eprintln!("{}", warning.as_str().unwrap_or_default());
    }
    Ok(0)
}
