//! Images by their id, tasks that go where their image is, and images that leave by themselves.

use crate::images::{LOCAL, await_all, global, id};
use shoal_tests_cluster::{Cluster, IMAGE};
use shoal_tests_harness::{Host, busybox_tar, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);

#[test]
fn an_image_by_its_id_runs_on_all() {
    let c = Cluster::form(1, 2);
    let tar = busybox_tar().display().to_string();
    c.hosts[1].docker_ok(&["import", "--change", "ENV ONLY=here", &tar, LOCAL]);
    let whole = id(&c.hosts[1], LOCAL);
    global(&c, 0, "whole", &whole, &["--no-resolve-image"]);
    await_all(&c, "whole", &whole);
    c.hosts[0].docker_ok(&["service", "rm", "whole"]);

    // By the digits that Docker shows.
    c.hosts[2].docker_ok(&[
        "import",
        "--change",
        "ENV ONLY=there",
        &tar,
        "127.0.0.1:1/team/short:1",
    ]);
    let whole = id(&c.hosts[2], "127.0.0.1:1/team/short:1");
    let short = &whole["sha256:".len()..][..12];
    global(&c, 0, "short", short, &["--no-resolve-image"]);
    await_all(&c, "short", &whole);
}

#[test]
fn a_task_goes_where_its_image_is() {
    let c = Cluster::form(1, 2);
    let tar = busybox_tar().display().to_string();
    c.hosts[2].docker_ok(&["import", "--change", "ENV ONLY=there", &tar, LOCAL]);
    // A node says what it has when it looks at itself again.
    std::thread::sleep(Duration::from_secs(22));
    for n in 0..3 {
        let name = format!("one{n}");
        c.hosts[0].docker_ok(&[
            "service",
            "create",
            "--detach",
            "--no-resolve-image",
            "--name",
            &name,
            LOCAL,
            "sleep",
            "1000",
        ]);
        c.await_running(0, &name, 1, SOON);
        let spread = c.spread(0, &name);
        let node = format!("host{}", c.hosts[2].number);
        assert_eq!(spread.get(&node), Some(&1), "{spread:?}");
        c.hosts[0].docker_ok(&["service", "rm", &name]);
        eventually("it is gone", SOON, || {
            c.hosts[2].docker_ok(&["ps", "-q"]).is_empty().then_some(())
        });
    }
}

/// The names of the images of this test that a host has.
fn releases(host: &Host) -> String {
    let all = host.docker_ok(&["images", "--format", "{{.Tag}}", "127.0.0.1:1/team/web"]);
    let mut tags: Vec<&str> = all.lines().collect();
    tags.sort_unstable();
    tags.join(" ")
}

#[test]
fn old_releases_leave_the_nodes_that_ran_them() {
    let config = r#"{"image-gc-keep-releases": 2, "image-gc-spare": 1, "image-gc-every": 1}"#;
    let c = Cluster::form_with(1, 1, config);
    let tar = busybox_tar().display().to_string();
    let name = |n: u32| format!("127.0.0.1:1/team/web:{n}");
    for n in 1..=4 {
        c.hosts[0].docker_ok(&["import", "--change", &format!("ENV V={n}"), &tar, &name(n)]);
        if n == 1 {
            global(&c, 0, "web", &name(1), &["--no-resolve-image"]);
        } else {
            c.hosts[0].docker_ok(&[
                "service",
                "update",
                "--detach",
                "--no-resolve-image",
                "--image",
                &name(n),
                "--update-parallelism",
                "0",
                "web",
            ]);
        }
        await_all(&c, "web", &id(&c.hosts[0], &name(n)));
        // A second is the smallest difference between two releases.
        std::thread::sleep(Duration::from_millis(1100));
    }
    // Containers of earlier tasks stay for `docker service ps`, and hold their images; without them the last two stay.
    let worker = &c.hosts[1];
    let old = worker.docker_ok(&["ps", "-aq", "--filter", "status=exited"]);
    for container in old.lines() {
        worker.docker(&["rm", container]);
    }
    eventually("the last two are left where they were brought", SOON, || {
        (releases(worker) == "3 4").then_some(())
    });
    // Where a hand brought them they stay; and what is no release stays too.
    assert_eq!(releases(&c.hosts[0]), "1 2 3 4");
    worker.docker_ok(&["image", "inspect", IMAGE]);
    let about = worker.docker_ok(&["info", "-f", "{{.DriverStatus}}"]);
    assert!(about.contains("[Releases Kept for Each Service 2]"), "{about}");
    // The client asks up to the last whole second.
    eventually("the events say why", SOON, || {
        let events = [
            "events",
            "--since",
            "10m",
            "--until",
            "0s",
            "--filter",
            "event=delete",
        ];
        worker
            .docker_ok(&events)
            .contains("reason=old-release")
            .then_some(())
    });
}
