//! Legacy links: what a container on the default bridge is told of those that it is linked to, in its environment and in
//! its `/etc/hosts`. On networks of a user's own the resolver knows them.

use super::files::HOSTS;
use crate::containers::{Kit, Record, View};
use crate::error::{Result, invalid, io};
use crate::files;
use crate::networks::{Endpoint, split_link};
use shoal_node_core_host::links;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Whether its links are legacy ones.
pub fn are_legacy(record: &Record) -> bool {
    !record.host.links.is_empty() && record.host.network_mode == "bridge"
}

/// The alias, and the container that it leads to, of each link. What has gone away is left out.
pub fn ends<'a>(kit: &'a Kit, record: &'a Record) -> impl Iterator<Item = (&'a str, Arc<View>)> {
    let links = record.host.links.iter().filter(move |_| are_legacy(record));
    links.filter_map(move |link| {
        let (name, alias) = split_link(link);
        Some((alias, kit.registry.get(name).ok()?.view()))
    })
}

fn on_bridge(endpoints: &[Endpoint]) -> Vec<IpAddr> {
    let bridge = endpoints.iter().find(|e| e.network == "bridge");
    bridge.map(Endpoint::addresses).unwrap_or_default()
}

/// Docker's variables. An error names what does not run.
pub fn env(kit: &Kit, record: &Record) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for (alias, view) in ends(kit, record) {
        let path = format!("/{}/{alias}", record.name);
        let other = &view.record;
        if !view.phase().counts_as_running() {
            return Err(invalid(format!(
                "Cannot link to a non running container: /{} AS {path}",
                other.name
            )));
        }
        let Some(address) = on_bridge(&view.endpoints).into_iter().next() else {
            continue;
        };
        out.extend(links::env(&links::Link {
            alias,
            path: &path,
            address,
            exposed: other.config.exposed_ports.keys().map(String::as_str).collect(),
            env: &other.config.env,
        }));
    }
    Ok(out)
}

/// The lines of `/etc/hosts`.
pub fn hosts(kit: &Kit, record: &Record) -> String {
    let mut text = String::new();
    for (alias, view) in ends(kit, record) {
        for address in on_bridge(&view.endpoints) {
            let (host, name) = (&view.record.config.hostname, &view.record.name);
            let mut names = vec![alias];
            names.extend([host.as_str(), name.as_str()].iter().filter(|n| **n != alias));
            text.push_str(&format!("{address}\t{}\n", names.join(" ")));
        }
    }
    text
}

/// A container has started, at another address perhaps: those that are linked to it and run are told.
pub fn moved(kit: &Kit, record: &Record, endpoints: &[Endpoint]) {
    let now = on_bridge(endpoints);
    for handle in kit.registry.all() {
        let view = handle.view();
        let linked = || ends(kit, &view.record).any(|(_, other)| other.record.id == record.id);
        if view.record.id == record.id || !view.phase().is_live() || !linked() {
            continue;
        }
        let aliases: Vec<&str> = ends(kit, &view.record)
            .filter(|(_, other)| other.record.id == record.id)
            .map(|(alias, _)| alias)
            .collect();
        let path = handle.dir().join(HOSTS);
        let told = std::fs::read_to_string(&path).and_then(|old| match readdressed(&old, &aliases, &now) {
            text if text != old => files::overwrite(&path, text.as_bytes(), 0o644),
            _ => Ok(()),
        });
        if let Err(error) = told.map_err(io("write", path.display())) {
            tracing::warn!(id = %view.record.id, %error, "a linked container does not learn of an address");
        }
    }
}

/// A link has gone: the alias leads nowhere.
pub fn unlinked(dir: &Path, alias: &str) -> Result<()> {
    let path = dir.join(HOSTS);
    let told = std::fs::read_to_string(&path).and_then(|old| {
        let of_link = |line: &&str| line.split_whitespace().nth(1) == Some(alias);
        let left: String = old
            .lines()
            .filter(|line| !of_link(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        files::overwrite(&path, left.as_bytes(), 0o644)
    });
    told.map_err(io("write", path.display()))
}

/// The same lines with the address that those with one of these names have now.
fn readdressed(text: &str, aliases: &[&str], now: &[IpAddr]) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let address: Option<IpAddr> = words.next().and_then(|word| word.parse().ok());
        let ours = words.next().is_some_and(|name| aliases.contains(&name));
        let new = address
            .filter(|_| ours)
            .and_then(|old| now.iter().find(|new| new.is_ipv4() == old.is_ipv4()));
        match (new, line.split_once(char::is_whitespace)) {
            (Some(new), Some((_, names))) => out.push_str(&format!("{new}\t{}\n", names.trim_start())),
            _ => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::readdressed;

    #[test]
    fn only_lines_of_the_link_change() {
        let text =
            "127.0.0.1\tlocalhost\n172.17.0.2\tdb 1234abcd base\n172.17.0.2\tother db\n172.17.0.9\tme\n";
        let now = ["172.17.0.5".parse().expect("an address")];
        assert_eq!(
            readdressed(text, &["db"], &now),
            text.replace("172.17.0.2\tdb", "172.17.0.5\tdb")
        );
    }
}
