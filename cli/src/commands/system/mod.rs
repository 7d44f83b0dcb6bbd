//! `version`, `info`, `events`, `system …`, `completion`.

mod df;
mod events;
mod info;
mod prune;
mod shell;

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::render;
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["version"],
            also: &[],
            about: "Show the version information",
            args: |c| c.arg(one("format", "string", "Format output using a custom template").short('f')),
            run: |s, m| Box::pin(version(s, m)),
        },
        info::leaf(),
        events::leaf(),
        df::leaf(),
        prune::leaf(),
        Leaf {
            path: &["system", "dial-stdio"],
            also: &[],
            about: "Proxy the stdio stream to the daemon connection (used by ssh:// clients)",
            args: |c| c,
            run: |s, _| Box::pin(dial_stdio(s)),
        },
        shell::completion(),
        shell::man(),
    ]
}

async fn version(s: &Session, m: &ArgMatches) -> Result<u8> {
    let mut client = s.client.clone();
    let server: Result<Json> = async {
        client.negotiate().await?;
        Ok(client.get("/version").await?)
    }
    .await;
    let ours = json!({
        "Version": env!("CARGO_PKG_VERSION"), "ApiVersion": client.version(), "Os": std::env::consts::OS,
        "Arch": if std::env::consts::ARCH == "x86_64" { "amd64" } else { std::env::consts::ARCH },
    });
    if let Some(format) = text(m, "format") {
        let both = json!({"Client": ours, "Server": server.as_ref().ok()});
        println!("{}", render(format, &both)?);
    } else {
        println!("Client: Shoal");
        println!(" Version:           {}", env!("CARGO_PKG_VERSION"));
        println!(" API version:       {}", client.version());
        println!(
            " OS/Arch:           {}/{}",
            ours["Os"].as_str().unwrap_or(""),
            ours["Arch"].as_str().unwrap_or("")
        );
        if let Ok(server) = &server {
            let field = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
            println!(
                "\nServer: {}",
                server["Platform"]["Name"].as_str().unwrap_or("Shoal")
            );
            println!(" Engine:");
            println!("  Version:          {}", field("Version"));
            println!(
                "  API version:      {} (minimum version {})",
                field("ApiVersion"),
                field("MinAPIVersion")
            );
            println!("  Git commit:       {}", field("GitCommit"));
            println!("  Built:            {}", field("BuildTime"));
            println!("  OS/Arch:          {}/{}", field("Os"), field("Arch"));
        }
    }
    server.map(|_| 0)
}

async fn dial_stdio(s: &Session) -> Result<u8> {
    let stream = s.client.dial().await?;
    let (mut read, mut write) = tokio::io::split(stream);
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut write).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut write).await;
    });
    let mut out = tokio::io::stdout();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let n = tokio::io::AsyncReadExt::read(&mut read, &mut buffer).await?;
        if n == 0 {
            up.abort();
            return Ok(0);
        }
        tokio::io::AsyncWriteExt::write_all(&mut out, &buffer[..n]).await?;
        tokio::io::AsyncWriteExt::flush(&mut out).await?;
    }
}
