//! `image ls --tree`: each image, and below it one line for each platform that is here.

use crate::format::{human_size_short, short_id};
use serde_json::Value as Json;

pub fn print(images: &[Json], whole: bool) {
    let id = |text: &str| if whole { text.to_owned() } else { short_id(text) };
    let mut lines: Vec<[String; 5]> =
        vec![["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "IN USE"].map(String::from)];
    for image in images {
        let manifests = image["Manifests"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let own = manifests
            .iter()
            .filter(|m| m["Kind"] == "image" && m["Available"] == true);
        let own: Vec<&Json> = own.collect();
        let used = |m: &&&Json| {
            m["ImageData"]["Containers"]
                .as_array()
                .is_some_and(|c| !c.is_empty())
        };
        let sum = |key: &str| own.iter().filter_map(|m| m["Size"][key].as_f64()).sum::<f64>();
        let mut names: Vec<&str> = image["RepoTags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        if names.is_empty() {
            names.push("<untagged>");
        }
        for name in names {
            lines.push([
                name.to_owned(),
                id(image["Id"].as_str().unwrap_or_default()),
                human_size_short(sum("Total")),
                human_size_short(sum("Content")),
                mark(own.iter().any(|m| used(&m))),
            ]);
            for (at, one) in own.iter().enumerate() {
                let branch = if at + 1 == own.len() { "└─" } else { "├─" };
                lines.push([
                    format!("{branch} {}", platform(&one["ImageData"]["Platform"])),
                    id(one["ID"].as_str().unwrap_or_default()),
                    human_size_short(one["Size"]["Total"].as_f64().unwrap_or(0.0)),
                    human_size_short(one["Size"]["Content"].as_f64().unwrap_or(0.0)),
                    mark(used(&one)),
                ]);
            }
        }
    }
    let width = |at: usize| {
        lines
            .iter()
            .map(|line| line[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    for line in &lines {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}

fn mark(used: bool) -> String {
    if used { "✔" } else { "" }.to_owned()
}

/// `linux/arm64/v8`.
fn platform(value: &Json) -> String {
    let parts = ["os", "architecture", "variant"].map(|key| value[key].as_str().unwrap_or_default());
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("/")
}
