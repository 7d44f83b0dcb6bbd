//! Clients of four ages: what each API version shows, hides and means, by raw HTTP below its prefix and by the stock CLI.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};

const VERSIONS: [&str; 4] = ["1.24", "1.41", "1.44", "1.51"];

/// Minor version, for comparisons.
fn minor(version: &str) -> u32 {
    version[2..].parse().expect("a version")
}

fn get(e: &Engine, version: &str, path: &str) -> Value {
    let answer = e.api("GET", &format!("/v{version}{path}"), None);
    assert_eq!(answer.status, 200, "{version} {path}: {}", answer.text());
    answer.json()
}

/// A sleeping container that goes when this does.
struct Sleeper<'a>(&'a Engine, String);

impl<'a> Sleeper<'a> {
    fn new(e: &'a Engine, version: &str, host: &Value) -> Sleeper<'a> {
        let name = e.name(&format!("v{}", version.replace('.', "")));
        let body =
            json!({"Image": IMAGE, "Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL", "HostConfig": host});
        let path = format!("/v{version}/containers/create?name={name}");
        let made = e.api("POST", &path, Some(&body));
        assert_eq!(made.status, 201, "{}", made.text());
        let started = e.api("POST", &format!("/v{version}/containers/{name}/start"), None);
        assert_eq!(started.status, 204, "{}", started.text());
        Sleeper(e, name)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.0.docker(&["rm", "-f", "-v", &self.1]);
    }
}

#[test]
fn each_version_is_named_in_its_answers_and_strangers_are_refused() {
    let e = Engine::start();
    for version in VERSIONS {
        let ping = e.api("GET", &format!("/v{version}/_ping"), None);
        assert_eq!((ping.status, ping.text().as_str()), (200, "OK"), "{version}");
        let newest = ping.header("api-version").expect("the newest version").to_owned();
        assert!(minor(&newest) >= 51, "{newest}");
        assert_eq!(
            e.api("GET", &format!("/v{version}/nope"), None).message(),
            "page not found"
        );
    }
    let old = e.api("GET", "/v1.23/version", None);
    assert_eq!(old.status, 400);
    assert!(
        old.text().contains("client version 1.23 is too old"),
        "{}",
        old.text()
    );
    let new = e.api("GET", "/v1.99/version", None);
    assert_eq!(new.status, 400);
    assert!(
        new.message().contains("client version 1.99 is too new"),
        "{}",
        new.message()
    );
}

#[test]
fn images_lose_and_gain_members_by_version() {
    let e = Engine::start();
    for version in VERSIONS {
        let age = minor(version);
        let image = get(&e, version, &format!("/images/{IMAGE}/json"));
        let has = |key: &str| image.get(key).is_some();
        assert_eq!(has("VirtualSize"), age < 44, "{version}");
        assert_eq!(has("ContainerConfig"), age < 45, "{version}");
        assert_eq!(
            image["Config"].get("AttachStdin").is_some(),
            age < 50,
            "{version}"
        );
        assert_eq!(
            image["Config"]["Env"][0].as_str().map(|e| e.contains('=')),
            Some(true)
        );
        let filters = r#"%7B%22reference%22%3A%7B%22shoaltest%22%3Atrue%7D%7D"#;
        let list = get(&e, version, &format!("/images/json?filters={filters}"));
        let listed = &list[0];
        assert_eq!(listed["RepoTags"], json!([IMAGE]));
        assert_eq!(listed.get("VirtualSize").is_some(), age < 44, "{version}");
        assert_eq!(listed["Containers"] == -1, age < 51, "{version}: {listed}");
    }
}

#[test]
fn a_container_looks_right_to_every_age() {
    let e = Engine::start();
    let network = e.name("net");
    e.ok(&["network", "create", &network]);
    for version in VERSIONS {
        let age = minor(version);
        let c = Sleeper::new(&e, version, &json!({"NetworkMode": network}));
        let seen = get(&e, version, &format!("/containers/{}/json", c.1));
        let short = &seen["Id"].as_str().expect("an id")[..12];
        let endpoint = &seen["NetworkSettings"]["Networks"][&network];
        let aliases = endpoint["Aliases"].to_string();
        assert_eq!(aliases.contains(short), age < 45, "{version}: {aliases}");
        // These older fields are there up to 1.51.
        for key in [
            "Bridge",
            "HairpinMode",
            "IPAddress",
            "SecondaryIPAddresses",
            "SandboxKey",
        ] {
            assert!(seen["NetworkSettings"].get(key).is_some(), "{version} {key}");
        }
        assert_eq!(
            seen["HostConfig"]["IpcMode"],
            if age < 40 { "shareable" } else { "private" },
            "{version}"
        );
        // Since 1.41 the daemon chooses, by the version of the control groups.
        assert!(
            age >= 41 || seen["HostConfig"]["CgroupnsMode"] == "host",
            "{version}"
        );
        assert!(seen.get("Storage").is_none());
        // The reference has it with its other image store only.
        assert_eq!(
            seen.get("ImageManifestDescriptor").is_some(),
            age >= 48 && !e.is_reference(),
            "{version}"
        );
        let stats = get(&e, version, &format!("/containers/{}/stats?stream=0", c.1));
        assert!(stats.get("os_type").is_none() && stats["cpu_stats"]["cpu_usage"].is_object());
    }
    e.ok(&["network", "rm", &network]);
}

#[test]
fn what_a_request_means_depends_on_its_version() {
    let e = Engine::start();
    // Annotations came with 1.43, a health check's start interval with 1.44.
    let health =
        json!({"Test": ["CMD", "true"], "Interval": 3_000_000_000u64, "StartInterval": 1_000_000_000u64});
    for version in VERSIONS {
        let age = minor(version);
        let name = e.name(&format!("req{age}"));
        let body = json!({"Image": IMAGE, "Healthcheck": health, "HostConfig": {"Annotations": {"a": "b"}}});
        let path = format!("/v{version}/containers/create?name={name}");
        let made = e.api("POST", &path, Some(&body));
        assert_eq!(made.status, 201, "{version}: {}", made.text());
        let seen = get(&e, "1.51", &format!("/containers/{name}/json"));
        assert_eq!(
            seen["HostConfig"]["Annotations"]["a"] == "b",
            age >= 43,
            "{version}"
        );
        assert_eq!(
            seen["Config"]["Healthcheck"]["StartInterval"].is_u64(),
            age >= 44,
            "{version}"
        );
        e.ok(&["rm", &name]);
    }
    // A prune takes named volumes before 1.42, and only with `all` since.
    for (version, named, filters) in [
        ("1.51", false, ""),
        ("1.41", true, ""),
        ("1.51", true, r#""all":["1"],"#),
    ] {
        let volume = e.name("prune");
        e.ok(&["volume", "create", "--label", &volume, &volume]);
        let filters = format!(r#"{{{filters}"label":["{volume}"]}}"#)
            .replace('{', "%7B")
            .replace('}', "%7D")
            .replace('"', "%22");
        let report = e.api(
            "POST",
            &format!("/v{version}/volumes/prune?filters={filters}"),
            None,
        );
        assert_eq!(report.status, 200, "{}", report.text());
        let gone = report.json()["VolumesDeleted"].to_string().contains(&volume);
        assert_eq!(gone, named, "{version} {filters}: {}", report.text());
        e.docker(&["volume", "rm", &volume]);
    }
}

#[test]
fn streams_carry_the_type_their_version_knows() {
    let e = Engine::start();
    for version in VERSIONS {
        let c = Sleeper::new(&e, version, &json!({}));
        let logs = e.api(
            "GET",
            &format!("/v{version}/containers/{}/logs?stdout=1", c.1),
            None,
        );
        let kind = if minor(version) < 42 {
            "application/vnd.docker.raw-stream"
        } else {
            "application/vnd.docker.multiplexed-stream"
        };
        // A follower's type is what old and new clients decide by; an empty log has it too on new ones.
        assert_eq!(logs.header("content-type"), Some(kind), "{version}");
        assert_eq!(logs.status, 200);
    }
}

#[test]
fn system_answers_by_version() {
    let e = Engine::start();
    for version in VERSIONS {
        let age = minor(version);
        let info = get(&e, version, "/info");
        let options = info["SecurityOptions"].to_string();
        assert_eq!(
            options.contains("name=seccomp"),
            age >= 25,
            "{version}: {options}"
        );
        assert_eq!(info.get("BridgeNfIptables").is_some(), age < 50, "{version}");
        assert_eq!(info.get("FirewallBackend").is_some(), age >= 49, "{version}");
        assert_eq!(info["Architecture"], "x86_64");
        let df = get(&e, version, "/system/df");
        for key in ["Images", "Containers", "Volumes", "BuildCache"] {
            assert!(df[key].is_array(), "{version} {key}");
        }
        let only = get(&e, version, "/system/df?type=volume");
        assert_eq!(
            only["Images"].is_array(),
            age < 42,
            "{version}: the type is heard since 1.42"
        );
    }
}

#[test]
fn the_stock_cli_pinned_at_each_version_does_its_daily_work() {
    let e = Engine::start();
    for version in VERSIONS {
        let run = |args: &[&str]| {
            let out = e
                .command(args)
                .env("DOCKER_API_VERSION", version)
                .output()
                .expect("docker runs");
            let text = String::from_utf8_lossy(&out.stdout).trim_end().to_owned();
            (
                out.status.code(),
                text,
                String::from_utf8_lossy(&out.stderr).into_owned(),
            )
        };
        let ok = |args: &[&str]| {
            let (code, out, err) = run(args);
            assert_eq!(code, Some(0), "{version} {args:?}: {err}");
            out
        };
        let name = e.name(&format!("cli{}", minor(version)));
        assert_eq!(ok(&["version", "-f", "{{.Client.APIVersion}}"]), version);
        assert_eq!(ok(&["run", "--rm", IMAGE, "echo", "hi"]), "hi");
        assert_eq!(run(&["run", "--rm", IMAGE, "sh", "-c", "exit 7"]).0, Some(7));
        if minor(version) >= 30 {
            // Without wait conditions the stock CLI waits for ever for what never started, on any daemon.
            assert_eq!(run(&["run", "--rm", IMAGE, "/nope"]).0, Some(127));
        }
        ok(&[
            "run", "-d", "--name", &name, "-p", "80", "-v", "/data", "--memory", "64m", IMAGE, "sleep",
            "1000",
        ]);
        assert_eq!(ok(&["exec", &name, "sh", "-c", "echo $FROM_IMAGE"]), "yes");
        assert!(ok(&["port", &name, "80"]).contains("0.0.0.0:"));
        assert!(ok(&["ps", "-q", "--filter", &format!("name={name}")]).len() == 12);
        assert!(ok(&["top", &name]).contains("sleep"));
        assert!(ok(&["stats", "--no-stream", &name]).contains("64MiB"));
        ok(&["pause", &name]);
        ok(&["unpause", &name]);
        ok(&["rename", &name, &format!("{name}x")]);
        ok(&["kill", &format!("{name}x")]);
        assert_eq!(ok(&["wait", &format!("{name}x")]), "137");
        ok(&["rm", "-v", &format!("{name}x")]);
        assert!(ok(&["images", "-q"]).len() >= 12);
        if minor(version) >= 25 {
            ok(&["system", "df"]);
        }
        ok(&["info"]);
    }
}
