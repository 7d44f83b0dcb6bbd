//! `system df`.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::ls;
use crate::commands::parse::*;
use crate::format::{Column, Listing, ago, created_at, human_size, human_size_short, render, short_id};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["system", "df"],
        also: &[],
        about: "Show disk usage",
        args: |c| {
            Listing::args(c).arg(switch("verbose", "Show detailed information on space usage").short('v'))
        },
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
    if on(m, "verbose") {
        return verbose(&usage, text(m, "format"));
    }
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
    // What is shared goes with the last image that has it.
    let own = |i: &Json| image_size(i) - i["SharedSize"].as_f64().unwrap_or(0.0).max(0.0);
    let needed: f64 = images.iter().filter(|i| image_used(i)).map(own).sum();
    let rows = vec![
        row(
            "Images",
            images.len(),
            images.iter().filter(|i| image_used(i)).count(),
            layers,
            layers - needed,
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
        row("Build Cache", 0, 0, 0.0, 0.0),
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
    if text(m, "format").is_none() {
        // What goes by itself, where something does.
        let info: Json = s.client.get("/info").await?;
        let status = info["DriverStatus"].as_array().cloned().unwrap_or_default();
        let row = |key: &str| status.iter().find(|row| row[0] == key).map(|row| row[1].clone());
        let said = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        if let Some(when) = row("Unused Images Removed") {
            println!("\nUnused images are removed {}.", said(&when));
        }
        if let Some(count) = row("Releases Kept for Each Service") {
            println!(
                "\nOf each service the images of {} releases are kept.",
                said(&count)
            );
        }
    }
    Ok(0)
}

/// All things with their sizes: four tables, or one object for a template.
fn verbose(usage: &Json, format: Option<&str>) -> Result<u8> {
    let list_of = |key: &str| usage[key].as_array().cloned().unwrap_or_default();
    let whole = format.is_some();
    let images: Vec<Json> = list_of("Images").iter().map(|i| image_row(i, whole)).collect();
    let containers = ls::rows(&list_of("Containers"), whole, false);
    let volumes: Vec<Json> = list_of("Volumes").iter().map(volume_row).collect();
    if let Some(format) = format {
        let all = json!({"Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": []});
        println!("{}", render(format, &all)?);
        return Ok(0);
    }
    let table = |title: &str, columns: &[Column], rows: Vec<Json>| {
        println!("{title}\n");
        let id = "ID";
        Listing { columns, id, rows }.print_as("table")
    };
    let columns = [
        Column("REPOSITORY", "Repository"),
        Column("TAG", "Tag"),
        Column("IMAGE ID", "ID"),
        Column("CREATED", "CreatedSince"),
        Column("SIZE", "Size"),
        Column("SHARED SIZE", "SharedSize"),
        Column("UNIQUE SIZE", "UniqueSize"),
        Column("CONTAINERS", "Containers"),
    ];
    table("Images space usage:", &columns, images)?;
    let columns = [
        Column("CONTAINER ID", "ID"),
        Column("IMAGE", "Image"),
        Column("COMMAND", "Command"),
        Column("LOCAL VOLUMES", "LocalVolumes"),
        Column("SIZE", "Size"),
        Column("CREATED", "RunningFor"),
        Column("STATUS", "Status"),
        Column("NAMES", "Names"),
    ];
    table("\nContainers space usage:", &columns, containers)?;
    let columns = [
        Column("VOLUME NAME", "Name"),
        Column("LINKS", "Links"),
        Column("SIZE", "Size"),
    ];
    table("\nLocal Volumes space usage:", &columns, volumes)?;
    let columns = [
        Column("CACHE ID", "ID"),
        Column("CACHE TYPE", "CacheType"),
        Column("SIZE", "Size"),
        Column("CREATED", "CreatedSince"),
        Column("LAST USED", "LastUsedSince"),
        Column("USAGE", "UsageCount"),
        Column("SHARED", "Shared"),
    ];
    table("\nBuild cache usage: 0B", &columns, Vec::new())?;
    Ok(0)
}

/// By its first name, as docker has it here.
fn image_row(image: &Json, whole: bool) -> Json {
    let name = image["RepoTags"][0].as_str().unwrap_or("<none>:<none>");
    let id = image["Id"].as_str().unwrap_or_default();
    let created = image["Created"].as_i64().unwrap_or(0);
    let (size, shared) = (
        image["Size"].as_f64().unwrap_or(0.0),
        image["SharedSize"].as_f64().unwrap_or(0.0).max(0.0),
    );
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
    json!({
        "Repository": repository, "Tag": tag, "Digest": "",
        "ID": if whole { id.to_owned() } else { short_id(id) },
        "CreatedSince": ago(created), "CreatedAt": created_at(created),
        "Size": human_size_short(size), "VirtualSize": human_size(size),
        "SharedSize": human_size(shared), "UniqueSize": human_size(size - shared),
        "Containers": image["Containers"].as_i64().unwrap_or(0).max(0).to_string(),
    })
}

fn volume_row(volume: &Json) -> Json {
    let used = &volume["UsageData"];
    json!({
        "Name": volume["Name"], "Driver": volume["Driver"], "Scope": volume["Scope"], "Mountpoint": volume["Mountpoint"],
        "Labels": ls::labels(&volume["Labels"]), "Availability": "N/A", "Group": "N/A", "Status": "N/A",
        "Links": used["RefCount"].as_i64().unwrap_or(0).max(0).to_string(),
        "Size": human_size(used["Size"].as_f64().unwrap_or(0.0).max(0.0)),
    })
}
