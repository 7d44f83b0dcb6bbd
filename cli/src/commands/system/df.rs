//! `system df`.

use crate::app::{Leaf, Session};
use crate::format::{Column, Listing, human_size};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["system", "df"],
        also: &[],
        about: "Show disk usage",
        args: Listing::args,
        run: |s, m| Box::pin(df(s, m)),
    }
}

async fn df(s: &Session, m: &ArgMatches) -> Result<u8> {
    // In the shape that has everything in it; from 1.52 on that is another one, without the things themselves.
    let mut client = s.client.clone();
    client.negotiate().await?;
    client.at_most(51);
    let usage: Json = client.get("/system/df").await?;
    let list_of = |key: &str| usage[key].as_array().cloned().unwrap_or_default();
    let sum = |items: &[Json], size: &dyn Fn(&Json) -> f64| items.iter().map(size).sum::<f64>();
    let (images, containers, volumes) = (list_of("Images"), list_of("Containers"), list_of("Volumes"));
    let image_used = |i: &Json| i["Containers"].as_i64().unwrap_or(0) > 0;
    let image_size = |i: &Json| i["Size"].as_f64().unwrap_or(0.0);
    let running = |c: &Json| c["State"] == "running";
    let written = |c: &Json| c["SizeRw"].as_f64().unwrap_or(0.0);
    let in_use = |v: &Json| v["UsageData"]["RefCount"].as_i64().unwrap_or(0) > 0;
    let volume_size = |v: &Json| v["UsageData"]["Size"].as_f64().unwrap_or(0.0).max(0.0);
    let row = |kind: &str, total: usize, active: usize, size: f64, free: f64| json!({"Type": kind, "TotalCount": total.to_string(), "Active": active.to_string(), "Size": human_size(size), "Reclaimable": if size > 0.0 { format!("{} ({}%)", human_size(free), (free * 100.0 / size) as i64) } else { human_size(free) }});
    let unused = |items: &[Json], used: &dyn Fn(&Json) -> bool, size: &dyn Fn(&Json) -> f64| {
        items.iter().filter(|i| !used(i)).map(size).sum::<f64>()
    };
    let layers = usage["LayersSize"].as_f64().unwrap_or(sum(&images, &image_size));
    let rows = vec![
        row(
            "Images",
            images.len(),
            images.iter().filter(|i| image_used(i)).count(),
            layers,
            unused(&images, &image_used, &image_size),
        ),
        row(
            "Containers",
            containers.len(),
            containers.iter().filter(|c| running(c)).count(),
            sum(&containers, &written),
            unused(&containers, &running, &written),
        ),
        row(
            "Local Volumes",
            volumes.len(),
            volumes.iter().filter(|v| in_use(v)).count(),
            sum(&volumes, &volume_size),
            unused(&volumes, &in_use, &volume_size),
        ),
    ];
    let columns = &[
        Column("TYPE", "Type"),
        Column("TOTAL", "TotalCount"),
        Column("ACTIVE", "Active"),
        Column("SIZE", "Size"),
        Column("RECLAIMABLE", "Reclaimable"),
    ];
    Listing {
        columns,
        id: "Type",
        rows,
    }
    .print(m)?;
    Ok(0)
}
