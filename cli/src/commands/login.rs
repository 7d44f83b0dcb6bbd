//! `login` and `logout`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::credentials::{self, Credentials};
use crate::terminal::hidden_line;
use anyhow::{Context, Result, bail};
use clap::{Arg, ArgMatches};
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::Body;
use std::io::{BufRead, IsTerminal, Read, Write};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["login"],
            also: &[],
            about: "Authenticate to a registry",
            args: |c| {
                c.arg(one("username", "string", "Username").short('u'))
                    .arg(one("password", "string", "Password or Personal Access Token (PAT)").short('p'))
                    .arg(switch(
                        "password-stdin",
                        "Take the Password or Personal Access Token (PAT) from stdin",
                    ))
                    .arg(Arg::new("server").value_name("SERVER"))
            },
            run: |s, m| Box::pin(login(s, m)),
        },
        Leaf {
            path: &["logout"],
            also: &[],
            about: "Log out from a registry",
            args: |c| c.arg(Arg::new("server").value_name("SERVER")),
            run: |_, m| {
                Box::pin(async move {
                    let registry = credentials::key(text(m, "server").unwrap_or_default());
                    match credentials::erase(&registry)? {
                        true => println!("Removing login credentials for {registry}"),
                        false => println!("Not logged in to {registry}"),
                    }
                    Ok(0)
                })
            },
        },
    ]
}

async fn login(s: &Session, m: &ArgMatches) -> Result<u8> {
    let registry = credentials::key(text(m, "server").unwrap_or_default());
    let given = asked(m, &registry)?;
    let request = json!({
        "username": given.username, "password": given.password, "identitytoken": given.identity, "serveraddress": registry,
    });
    let answer: Json = s
        .client
        .json(Method::POST, "/auth", Body::json(&request)?)
        .await?;
    let token = answer["IdentityToken"].as_str().unwrap_or_default();
    let kept = Credentials {
        identity: if token.is_empty() {
            given.identity
        } else {
            token.to_owned()
        },
        ..given
    };
    credentials::store(&registry, &kept)?;
    println!("{}", answer["Status"].as_str().unwrap_or("Login Succeeded"));
    Ok(0)
}

/// From the options, standard input or whoever sits there; what was stored before if nothing is said.
fn asked(m: &ArgMatches, registry: &str) -> Result<Credentials> {
    let from_stdin = on(m, "password-stdin");
    if from_stdin && text(m, "password").is_some() {
        bail!("--password and --password-stdin are mutually exclusive");
    }
    if from_stdin && text(m, "username").is_none() {
        bail!("Must provide --username with --password-stdin");
    }
    let known = credentials::find(registry);
    if text(m, "username").is_none()
        && text(m, "password").is_none()
        && let Some(known) = known
    {
        return Ok(known);
    }
    let terminal = std::io::stdin().is_terminal();
    let username = match text(m, "username") {
        Some(name) => name.to_owned(),
        None if terminal => line("Username: ")?,
        None => bail!("cannot perform an interactive login from a non TTY device"),
    };
    let password = match text(m, "password") {
        Some(password) => {
            eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
            password.to_owned()
        }
        None if from_stdin => {
            let mut all = String::new();
            std::io::stdin().take(1 << 20).read_to_string(&mut all)?;
            all.trim_end_matches(['\r', '\n']).to_owned()
        }
        None if terminal => hidden_line("Password: ").context("reading the password")?,
        None => bail!("cannot perform an interactive login from a non TTY device"),
    };
    if username.is_empty() || password.is_empty() {
        bail!("username and password are required");
    }
    Ok(Credentials {
        username,
        password,
        identity: String::new(),
    })
}

fn line(prompt: &str) -> Result<String> {
    let mut out = std::io::stdout();
    write!(out, "{prompt}")?;
    out.flush()?;
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text)?;
    Ok(text.trim().to_owned())
}
