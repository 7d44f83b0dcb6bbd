//! Commands that are one call per container.

use crate::app::Leaf;
use crate::commands::parse::*;
use clap::Arg;
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        stop(),
        restart(),
        kill(),
        wait(),
        rm(),
        rename(),
        pause(),
        unpause(),
        inspect(),
    ]
}

fn inspect() -> Leaf {
    Leaf {
        path: &["container", "inspect"],
        also: &[],
        about: "Display detailed information on one or more containers",
        args: super::inspect::args,
        run: |s, m| Box::pin(super::inspect::print(s, m, &["container"])),
    }
}

fn stop() -> Leaf {
    Leaf {
        path: &["container", "stop"],
        also: &[&["stop"]],
        about: "Stop one or more running containers",
        args: |c| {
            names(c, "CONTAINER")
                .arg(one("signal", "string", "Signal to send to the container").short('s'))
                .arg(
                    one("timeout", "int", "Seconds to wait before killing the container")
                        .short('t')
                        .visible_alias("time"),
                )
        },
        run: |s, m| Box::pin(timed(s, m, "stop")),
    }
}

fn restart() -> Leaf {
    Leaf {
        path: &["container", "restart"],
        also: &[&["restart"]],
        about: "Restart one or more containers",
        args: |c| {
            names(c, "CONTAINER")
                .arg(one("signal", "string", "Signal to send to the container").short('s'))
                .arg(
                    one("timeout", "int", "Seconds to wait before killing the container")
                        .short('t')
                        .visible_alias("time"),
                )
        },
        run: |s, m| Box::pin(timed(s, m, "restart")),
    }
}

async fn timed(s: &crate::app::Session, m: &clap::ArgMatches, verb: &str) -> anyhow::Result<u8> {
    let pairs = [
        ("signal", text(m, "signal").unwrap_or_default()),
        ("t", text(m, "timeout").unwrap_or_default()),
    ];
    let ids = list(m, "names");
    // All at once: each may take its whole grace period.
    let calls = ids.iter().map(|id| async move {
        let path = query(&format!("/containers/{id}/{verb}"), &pairs);
        (id, s.client.plain(Method::POST, &path, Body::Empty).await)
    });
    let mut code = 0;
    for (id, result) in futures_util::future::join_all(calls).await {
        match result {
            Ok(()) => println!("{id}"),
            Err(e) => {
                eprintln!("{e}");
                code = 1;
            }
        }
    }
    Ok(code)
}

fn kill() -> Leaf {
    Leaf {
        path: &["container", "kill"],
        also: &[&["kill"]],
        about: "Kill one or more running containers",
        args: |c| {
            names(c, "CONTAINER").arg(one("signal", "string", "Signal to send to the container").short('s'))
        },
        run: |s, m| {
            Box::pin(async move {
                let signal = text(m, "signal").unwrap_or("KILL");
                each(&list(m, "names"), |id| async move {
                    let path = query(&format!("/containers/{id}/kill"), &[("signal", signal)]);
                    s.client.plain(Method::POST, &path, Body::Empty).await
                })
                .await
            })
        },
    }
}

fn wait() -> Leaf {
    Leaf {
        path: &["container", "wait"],
        also: &[&["wait"]],
        about: "Block until one or more containers stop, then print their exit codes",
        args: |c| names(c, "CONTAINER"),
        run: |s, m| {
            Box::pin(async move {
                for id in list(m, "names") {
                    let end: Json = s
                        .client
                        .json(Method::POST, &format!("/containers/{id}/wait"), Body::Empty)
                        .await?;
                    println!("{}", end["StatusCode"]);
                }
                Ok(0)
            })
        },
    }
}

fn rm() -> Leaf {
    Leaf {
        path: &["container", "rm"],
        also: &[&["rm"]],
        about: "Remove one or more containers",
        args: |c| {
            names(c, "CONTAINER")
                .arg(switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'))
                .arg(
                    switch(
                        "volumes",
                        "Remove anonymous volumes associated with the container",
                    )
                    .short('v'),
                )
                .arg(switch("link", "Remove the specified link").short('l'))
        },
        run: |s, m| {
            Box::pin(async move {
                let flag = |name: &str| if on(m, name) { "1" } else { "" };
                let pairs = [
                    ("force", flag("force")),
                    ("v", flag("volumes")),
                    ("link", flag("link")),
                ];
                let force = on(m, "force");
                each(&list(m, "names"), |id| async move {
                    let path = query(&format!("/containers/{id}"), &pairs);
                    match s.client.plain(Method::DELETE, &path, Body::Empty).await {
                        // As docker does: what is gone already is not a failure of a forced removal.
                        Err(e) if force && e.status() == Some(404) => Ok(()),
                        other => other,
                    }
                })
                .await
            })
        },
    }
}

fn rename() -> Leaf {
    Leaf {
        path: &["container", "rename"],
        also: &[&["rename"]],
        about: "Rename a container",
        args: |c| name(c, "CONTAINER").arg(Arg::new("new").value_name("NEW_NAME").required(true)),
        run: |s, m| {
            Box::pin(async move {
                let path = format!("/containers/{}/rename", required(m, "name")?);
                s.client
                    .plain(
                        Method::POST,
                        &query(&path, &[("name", required(m, "new")?)]),
                        Body::Empty,
                    )
                    .await?;
                Ok(0)
            })
        },
    }
}

fn pause() -> Leaf {
    Leaf {
        path: &["container", "pause"],
        also: &[&["pause"]],
        about: "Pause all processes within one or more containers",
        args: |c| names(c, "CONTAINER"),
        run: |s, m| {
            Box::pin(async move {
                each(&list(m, "names"), |id| async move {
                    s.client
                        .plain(Method::POST, &format!("/containers/{id}/pause"), Body::Empty)
                        .await
                })
                .await
            })
        },
    }
}

fn unpause() -> Leaf {
    Leaf {
        path: &["container", "unpause"],
        also: &[&["unpause"]],
        about: "Unpause all processes within one or more containers",
        args: |c| names(c, "CONTAINER"),
        run: |s, m| {
            Box::pin(async move {
                each(&list(m, "names"), |id| async move {
                    s.client
                        .plain(Method::POST, &format!("/containers/{id}/unpause"), Body::Empty)
                        .await
                })
                .await
            })
        },
    }
}
