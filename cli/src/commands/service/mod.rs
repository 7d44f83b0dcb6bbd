//! `shoal service …`.

mod ls;
mod options;
pub mod tasks;
mod write;

use crate::app::Leaf;
use crate::commands::container_shared::{inspect, logs};
use crate::commands::parse::*;
use crate::format::Listing;
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::Body;

pub fn leaves() -> Vec<Leaf> {
    let mut all = write::leaves();
    all.extend([
        ls::leaf(),
        Leaf {
            path: &["service", "inspect"],
            also: &[],
            about: "Display detailed information on one or more services",
            args: |c| {
                inspect::args(c).arg(switch(
                    "pretty",
                    "Print the information in a human friendly format",
                ))
            },
            run: |s, m| Box::pin(inspect::print(s, m, &["service"])),
        },
        Leaf {
            path: &["service", "ps"],
            also: &[],
            about: "List the tasks of one or more services",
            args: |c| names(Listing::args(c), "SERVICE").arg(switch("no-resolve", "Do not map IDs to Names")),
            run: |s, m| {
                Box::pin(async move {
                    let mut wanted = list(m, "filter");
                    for name in list(m, "names") {
                        let service: Json = s.client.get(&format!("/services/{name}")).await?;
                        wanted.push(format!("service={}", service["ID"].as_str().unwrap_or_default()));
                    }
                    tasks::print(s, m, &wanted).await
                })
            },
        },
        Leaf {
            path: &["service", "rm"],
            also: &[&["service", "remove"]],
            about: "Remove one or more services",
            args: |c| names(c, "SERVICE"),
            run: |s, m| {
                Box::pin(async move {
                    each(&list(m, "names"), |id| async move {
                        s.client
                            .plain(Method::DELETE, &format!("/services/{id}"), Body::Empty)
                            .await
                    })
                    .await
                })
            },
        },
        Leaf {
            path: &["service", "logs"],
            also: &[],
            about: "Fetch the logs of a service or task",
            args: |c| logs::args(name(c, "SERVICE|TASK")),
            run: |s, m| {
                Box::pin(async move {
                    let id = required(m, "name")?;
                    let service: shoal_api_client::Result<Json> =
                        s.client.get(&format!("/services/{id}")).await;
                    let (kind, spec) = match service {
                        Ok(service) => (
                            "services",
                            service["Spec"]["TaskTemplate"]["ContainerSpec"].clone(),
                        ),
                        Err(_) => (
                            "tasks",
                            s.client.get::<Json>(&format!("/tasks/{id}")).await?["Spec"]["ContainerSpec"]
                                .clone(),
                        ),
                    };
                    logs::show(s, m, &format!("/{kind}/{id}/logs"), spec["TTY"] == true).await
                })
            },
        },
    ]);
    all
}
