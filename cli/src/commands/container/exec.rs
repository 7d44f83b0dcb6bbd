//! `exec`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::terminal::{Raw, is_terminal, join, size};
use anyhow::{Result, bail};
use clap::{Arg, ArgMatches};
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "exec"],
        also: &[&["exec"]],
        about: "Execute a command in a running container",
        args: |c| {
            c.arg(switch("detach", "Run command in the background").short('d'))
                .arg(one(
                    "detach-keys",
                    "string",
                    "Override the key sequence for detaching a container",
                ))
                .arg(many("env", "Set environment variables").short('e'))
                .arg(many("env-file", "Read in a file of environment variables"))
                .arg(switch("interactive", "Keep STDIN open even if not attached").short('i'))
                .arg(switch("privileged", "Give extended privileges to the command"))
                .arg(switch("tty", "Allocate a pseudo-TTY").short('t'))
                .arg(one("user", "string", "Username or UID").short('u'))
                .arg(one("workdir", "string", "Working directory inside the container").short('w'))
                .arg(Arg::new("name").value_name("CONTAINER").required(true))
                .arg(
                    Arg::new("command")
                        .value_name("COMMAND")
                        .num_args(1..)
                        .required(true)
                        .trailing_var_arg(true)
                        .allow_hyphen_values(true),
                )
        },
        run: |s, m| Box::pin(exec(s, m)),
    }
}

async fn exec(s: &Session, m: &ArgMatches) -> Result<u8> {
    let (detach, stdin, tty) = (on(m, "detach"), on(m, "interactive"), on(m, "tty"));
    if tty && stdin && !is_terminal() {
        bail!("the input device is not a TTY");
    }
    let env = super::options::with_files(m, "env-file", "env")?;
    let body = json!({
        "AttachStdin": stdin && !detach, "AttachStdout": !detach, "AttachStderr": !detach, "Tty": tty, "Detach": detach,
        "Privileged": on(m, "privileged"), "Env": environment(&env), "DetachKeys": text(m, "detach-keys"), "Cmd": list(m, "command"),
        "User": text(m, "user").unwrap_or_default(), "WorkingDir": text(m, "workdir").unwrap_or_default(),
    });
    let path = format!("/containers/{}/exec", required(m, "name")?);
    let created: Json = s.client.json(Method::POST, &path, Body::json(&body)?).await?;
    let id = created["Id"].as_str().unwrap_or_default();
    let mut start = json!({"Detach": detach, "Tty": tty});
    if detach {
        s.client
            .plain(Method::POST, &format!("/exec/{id}/start"), Body::json(&start)?)
            .await?;
        return Ok(0);
    }
    if let (true, Some((rows, columns))) = (tty, size()) {
        start["ConsoleSize"] = json!([rows, columns]);
    }
    let (_, stream) = s
        .client
        .hijack(&format!("/exec/{id}/start"), Body::json(&start)?)
        .await?;
    let raw = if tty && stdin { Raw::enter() } else { None };
    if let (true, Some((rows, columns))) = (tty, size()) {
        let (h, w) = (rows.to_string(), columns.to_string());
        let path = query(&format!("/exec/{id}/resize"), &[("h", &h), ("w", &w)]);
        let _ = s.client.plain(Method::POST, &path, Body::Empty).await;
    }
    let result = join(stream, stdin, tty).await;
    drop(raw);
    result?;
    let info: Json = s.client.get(&format!("/exec/{id}/json")).await?;
    Ok(u8::try_from(info["ExitCode"].as_i64().unwrap_or(0) & 0xff).unwrap_or(1))
}
