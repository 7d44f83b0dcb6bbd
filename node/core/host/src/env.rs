//! The environment of a container's first process.

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn key(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(k, _)| k)
}

/// `base` overridden by `wanted`, in Docker's order: base entries keep their place, new ones follow; an entry without
/// `=` takes the variable away.
pub fn merge(base: &[String], wanted: &[String]) -> Vec<String> {
    let mut out: Vec<String> = base.to_vec();
    for entry in wanted {
        let place = out.iter().position(|e| key(e) == key(entry));
        match (entry.contains('='), place) {
            (true, Some(i)) => out[i] = entry.clone(),
            (true, None) => out.push(entry.clone()),
            (false, Some(i)) => {
                out.remove(i);
            }
            (false, None) => {}
        }
    }
    out
}

/// As stored in a container's configuration at create: the container's own, then what only the image sets.
pub fn with_image(container: &[String], image: &[String]) -> Vec<String> {
    let mut out = container.to_vec();
    for entry in image {
        if !out.iter().any(|e| key(e) == key(entry)) {
            out.push(entry.clone());
        }
    }
    out
}

/// The process's environment: Docker's defaults and what legacy links tell, overridden by the configuration; `HOME` where
/// nothing sets it.
pub fn process(
    configured: &[String],
    linked: Vec<String>,
    hostname: &str,
    tty: bool,
    home: &str,
) -> Vec<String> {
    let mut base = vec![PATH.to_string(), format!("HOSTNAME={hostname}")];
    if tty {
        base.push("TERM=xterm".into());
    }
    base.extend(linked);
    let mut out = merge(&base, configured);
    if !out.iter().any(|e| key(e) == "HOME") {
        out.push(format!("HOME={home}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|e| e.to_string()).collect()
    }

    #[test]
    fn defaults_overrides_and_removals() {
        let got = process(
            &list(&["A=1", "PATH=/bin", "TERM"]),
            Vec::new(),
            "h",
            true,
            "/root",
        );
        assert_eq!(got, list(&["PATH=/bin", "HOSTNAME=h", "A=1", "HOME=/root"]));
        assert_eq!(
            process(&list(&["HOME=/x"]), list(&["L=1"]), "h", false, "/"),
            list(&[PATH, "HOSTNAME=h", "L=1", "HOME=/x"])
        );
    }

    #[test]
    fn the_images_entries_come_last_and_never_win() {
        assert_eq!(
            with_image(&list(&["A=2"]), &list(&["A=1", "B=1"])),
            list(&["A=2", "B=1"])
        );
    }
}
