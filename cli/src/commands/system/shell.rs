//! `completion` and `man`: what a shell and a reader get out of the table of commands.

use crate::app::Leaf;
use crate::commands::parse::*;
use anyhow::{Context, Result, anyhow};
use clap::{Arg, ArgMatches};
use clap_complete::Shell;
use std::io::Write;
use std::path::Path;

pub fn completion() -> Leaf {
    Leaf {
        path: &["completion"],
        also: &[],
        about: "Generate the completion script for a shell",
        args: |c| {
            c.arg(Arg::new("shell").value_parser(["bash", "zsh", "fish"]).required(true))
                .after_help("bash: . <(shoal completion bash)\nzsh:  shoal completion zsh > \"${fpath[1]}/_shoal\"\nfish: shoal completion fish > ~/.config/fish/completions/shoal.fish")
        },
        run: |_, m| Box::pin(async move { complete(m) }),
    }
}

pub fn man() -> Leaf {
    Leaf {
        path: &["man"],
        also: &[],
        about: "Write the manual pages, one for each command, into a folder",
        args: |c| c.hide(true).arg(Arg::new("dir").value_name("DIR").required(true)),
        run: |_, m| {
            Box::pin(async move {
                let dir = Path::new(required(m, "dir")?);
                std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
                clap_mangen::generate_to(crate::app::command(), dir)
                    .with_context(|| format!("writing manual pages into {}", dir.display()))?;
                Ok(0)
            })
        },
    }
}

fn complete(m: &ArgMatches) -> Result<u8> {
    let shell: Shell = required(m, "shell")?
        .parse()
        .map_err(|e: String| anyhow!("completion: {e}"))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::app::command(), "shoal", &mut script);
    script.extend(names_script(shell).into_bytes());
    std::io::stdout().write_all(&script)?;
    Ok(0)
}

/// Which commands take names of what, and how to list them. Asked only when a name is completed.
const NAMED: [(&str, &str); 4] = [
    (
        "attach commit cp diff exec export inspect kill logs pause port rename restart rm start stats stop top unpause update wait",
        "shoal ps -a --format '{{.Names}}'",
    ),
    (
        "run create rmi history save tag push",
        "shoal images --format '{{.Repository}}:{{.Tag}}'",
    ),
    ("volume", "shoal volume ls -q"),
    ("network", "shoal network ls --format '{{.Name}}'"),
];

/// The generated script knows words; the names of what is there come from the daemon.
fn names_script(shell: Shell) -> String {
    match shell {
        Shell::Fish => NAMED
            .iter()
            .map(|(commands, list)| {
                format!(
                    "complete -c shoal -f -n '__fish_seen_subcommand_from {commands}' -a '({})'\n",
                    list.replace('\'', "\\'")
                )
            })
            .collect(),
        Shell::Bash => {
            let cases: String = NAMED
                .iter()
                .map(|(commands, list)| {
                    format!(
                        "    {}) names=$({list} 2>/dev/null) ;;\n",
                        commands.replace(' ', "|")
                    )
                })
                .collect();
            format!(
                r#"
_shoal_named() {{
  _shoal "$@"
  local cur=${{COMP_WORDS[COMP_CWORD]}} word=${{COMP_WORDS[1]}} names=
  [ "$COMP_CWORD" -gt 1 ] && [ "${{cur#-}}" = "$cur" ] || return 0
  case $word in
    container) [ "$COMP_CWORD" -gt 2 ] && word=${{COMP_WORDS[2]}} ;;
    image) [ "$COMP_CWORD" -gt 2 ] && word=rmi ;;
    volume|network) [ "$COMP_CWORD" -gt 2 ] || return 0 ;;
  esac
  case $word in
{cases}    *) return 0 ;;
  esac
  COMPREPLY=($(compgen -W "$names" -- "$cur"))
}}
complete -F _shoal_named -o bashdefault -o default shoal
"#
            )
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_ask_for_names_and_every_command_has_a_page() {
        assert!(names_script(Shell::Bash).contains("rmi|history|save|tag|push) names=$(shoal images"));
        assert!(names_script(Shell::Fish).contains("__fish_seen_subcommand_from volume"));
        let dir = std::env::temp_dir().join(format!("shoal-man-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        clap_mangen::generate_to(crate::app::command(), &dir).unwrap();
        let page = std::fs::read_to_string(dir.join("shoal-container-run.1")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(page.contains("memory\\-swappiness"), "{page}");
    }
}
