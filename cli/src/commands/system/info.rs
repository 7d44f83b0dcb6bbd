//! `info`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{binary_size, lower_title, render};
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
        "Client:\n Version:    {}\n Debug Mode: false\n\nServer:",
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
    let words = |list: &Json| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|i| i.as_str().map(str::to_owned)).collect()
    };
    println!(" Plugins:");
    for (title, key) in [
        ("Volume", "Volume"),
        ("Network", "Network"),
        ("Authorization", "Authorization"),
        ("Log", "Log"),
    ] {
        let names = words(&info["Plugins"][key]);
        if !names.is_empty() || key != "Authorization" {
            println!("  {title}: {}", names.join(" "));
        }
    }
    let dirs = words(&info["CDISpecDirs"]);
    if !dirs.is_empty() {
        println!(" CDI spec directories:");
        dirs.iter().for_each(|dir| println!("  {dir}"));
    }
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
    let runtimes: Vec<&str> = info["Runtimes"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    println!(
        " Runtimes: {}\n Default Runtime: {}\n Init Binary: {}",
        runtimes.join(" "),
        show("DefaultRuntime"),
        show("InitBinary")
    );
    for (title, key) in [
        ("containerd", "ContainerdCommit"),
        ("runc", "RuncCommit"),
        ("init", "InitCommit"),
    ] {
        println!(" {title} version: {}", info[key]["ID"].as_str().unwrap_or(""));
    }
    let options = words(&info["SecurityOptions"]);
    if !options.is_empty() {
        println!(" Security Options:");
    }
    for option in &options {
        let mut fields = option.split(',').filter_map(|f| f.split_once('='));
        println!("  {}", fields.next().map_or(option.as_str(), |(_, name)| name));
        fields.for_each(|(key, value)| println!("   {}: {value}", lower_title(key)));
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
        binary_size(info["MemTotal"].as_f64().unwrap_or(0.0))
    );
    println!(
        " Name: {}\n ID: {}\n Docker Root Dir: {}",
        show("Name"),
        show("ID"),
        show("DockerRootDir")
    );
    println!(" Debug Mode: {}", show("Debug"));
    if info["Debug"] == true {
        for (title, key) in [
            ("File Descriptors", "NFd"),
            ("Goroutines", "NGoroutines"),
            ("System Time", "SystemTime"),
            ("EventsListeners", "NEventsListener"),
        ] {
            println!("  {title}: {}", show(key));
        }
    }
    for (title, key) in [
        ("HTTP Proxy", "HttpProxy"),
        ("HTTPS Proxy", "HttpsProxy"),
        ("No Proxy", "NoProxy"),
    ] {
        if info[key].as_str().is_some_and(|value| !value.is_empty()) {
            println!(" {title}: {}", show(key));
        }
    }
    let labels = words(&info["Labels"]);
    if !labels.is_empty() {
        println!(" Labels:");
        labels.iter().for_each(|label| println!("  {label}"));
    }
    println!(" Experimental: {}", show("ExperimentalBuild"));
    let registry = &info["RegistryConfig"];
    let named: Vec<String> = registry["IndexConfigs"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, index)| index["Secure"] == false)
        .map(|(name, _)| name.clone())
        .collect();
    let insecure: Vec<String> = named
        .into_iter()
        .chain(words(&registry["InsecureRegistryCIDRs"]))
        .collect();
    if !insecure.is_empty() {
        println!(" Insecure Registries:");
        insecure.iter().for_each(|name| println!("  {name}"));
    }
    let mirrors = words(&registry["Mirrors"]);
    if !mirrors.is_empty() {
        println!(" Registry Mirrors:");
        mirrors.iter().for_each(|mirror| println!("  {mirror}"));
    }
    println!(" Live Restore Enabled: {}", show("LiveRestoreEnabled"));
    if let Some(driver) = info["FirewallBackend"]["Driver"].as_str() {
        println!(" Firewall Backend: {driver}");
    }
    if let Some(pools) = info["DefaultAddressPools"].as_array().filter(|p| !p.is_empty()) {
        println!(" Default Address Pools:");
        for pool in pools {
            println!(
                "   Base: {}, Size: {}",
                pool["Base"].as_str().unwrap_or(""),
                pool["Size"]
            );
        }
    }
    println!();
    for warning in info["Warnings"].as_array().into_iter().flatten() {
        eprintln!("{}", warning.as_str().unwrap_or_default());
    }
    Ok(0)
}
