//! Global options, and the way from a command line to a command.

use crate::commands;
use anyhow::{Result, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command};
use shoal_api_client::{Client, Target, TlsFiles, resolve};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// What a command's `run` gives: the process's exit code.
pub type Run<'a> = Pin<Box<dyn Future<Output = Result<u8>> + 'a>>;

/// One command: where it stands, how it is spelled, what it does.
pub struct Leaf {
    /// `["container", "ls"]`.
    pub path: &'static [&'static str],
    /// Other places where the same command stands, such as `["ps"]`.
    pub also: &'static [&'static [&'static str]],
    pub about: &'static str,
    pub args: fn(Command) -> Command,
    pub run: for<'a> fn(&'a Session, &'a ArgMatches) -> Run<'a>,
}

/// What every command gets.
pub struct Session {
    pub client: Client,
}

/// An exit code to end with, after its words were said.
#[derive(Debug)]
pub struct Exit(pub u8, pub String);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Exit {}

pub fn failure_code(error: &anyhow::Error) -> u8 {
    error.downcast_ref::<Exit>().map_or(1, |e| e.0)
}

pub fn command() -> Command {
    let mut root = Command::new("shoal")
        .about("Docker for any number of machines")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .arg_required_else_help(true)
        .subcommand_required(true)
        .arg(
            Arg::new("host")
                .short('H')
                .long("host")
                .value_name("list")
                .help("Daemon socket to connect to"),
        )
        .arg(
            Arg::new("context")
                .short('c')
                .long("context")
                .value_name("string")
                .help("Name of the context to use"),
        )
        .arg(
            Arg::new("tls")
                .long("tls")
                .action(ArgAction::SetTrue)
                .help("Use TLS; implied by --tlsverify"),
        )
        .arg(
            Arg::new("tlsverify")
                .long("tlsverify")
                .action(ArgAction::SetTrue)
                .help("Use TLS and verify the remote"),
        )
        .arg(
            Arg::new("tlscacert")
                .long("tlscacert")
                .value_name("string")
                .help("Trust certs signed only by this CA"),
        )
        .arg(
            Arg::new("tlscert")
                .long("tlscert")
                .value_name("string")
                .help("Path to TLS certificate file"),
        )
        .arg(
            Arg::new("tlskey")
                .long("tlskey")
                .value_name("string")
                .help("Path to TLS key file"),
        );
    for leaf in commands::all() {
        for path in std::iter::once(&leaf.path).chain(leaf.also) {
            root = insert(root, path, leaf);
        }
    }
    root
}

/// Puts a leaf under its nouns, making those that are not there yet.
fn insert(parent: Command, path: &[&'static str], leaf: &Leaf) -> Command {
    match path {
        [] => parent,
        [name] => {
            let command = (leaf.args)(Command::new(*name).about(leaf.about));
            parent.subcommand(
                command.disable_help_flag(true).arg(
                    Arg::new("help")
                        .long("help")
                        .action(ArgAction::Help)
                        .help("Print usage"),
                ),
            )
        }
        [noun, rest @ ..] => {
            if parent.find_subcommand(noun).is_none() {
                let group = Command::new(*noun)
                    .about(commands::noun(noun))
                    .subcommand_required(true)
                    .arg_required_else_help(true)
                    .disable_help_subcommand(true);
                return insert(parent.subcommand(group), path, leaf);
            }
            parent.mut_subcommand(*noun, |group| insert(group, rest, leaf))
        }
    }
}

pub async fn run(matches: &ArgMatches) -> Result<u8> {
    let mut path = Vec::new();
    let mut at = matches;
    while let Some((name, inner)) = at.subcommand() {
        path.push(name);
        at = inner;
    }
    let leaf = commands::all()
        .iter()
        .find(|l| l.path == path || l.also.iter().any(|a| **a == path))
        .ok_or_else(|| anyhow!("shoal: {:?} is not a command", path.join(" ")))?;
    let target = target(matches)?;
    let mut client = Client::new(target)?;
    // `version` shows our half even where no daemon answers.
    if !matches!(path[..], ["version" | "completion" | "man"]) {
        client.negotiate().await?;
    }
    (leaf.run)(&Session { client }, at).await
}

fn target(matches: &ArgMatches) -> Result<Target> {
    let env = |name: &str| std::env::var(name).ok();
    let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
    let verify = matches.get_flag("tlsverify") || env("DOCKER_TLS_VERIFY").is_some_and(|v| !v.is_empty());
    let tls =
        (verify || matches.get_flag("tls") || env("DOCKER_TLS").is_some_and(|v| !v.is_empty())).then(|| {
            let dir = env("DOCKER_CERT_PATH")
                .filter(|d| !d.is_empty())
                .map(PathBuf::from)
                .unwrap_or_else(|| Path::new(&env("HOME").unwrap_or_default()).join(".docker"));
            let found = TlsFiles::in_dir(&dir, verify);
            TlsFiles {
                ca: path("tlscacert").or(found.ca),
                cert: path("tlscert").or(found.cert),
                key: path("tlskey").or(found.key),
                verify,
            }
        });
    let host = matches.get_one::<String>("host").map(String::as_str);
    let context = matches.get_one::<String>("context").map(String::as_str);
    Ok(resolve(host, context, tls, env)?)
}
