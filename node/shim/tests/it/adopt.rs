//! The daemon goes and comes back.

use shoal_node_drivers_shim::{Found, Shim};

use crate::support::*;

#[tokio::test]
async fn a_running_container_is_found_again_with_its_execs() {
    let world = World::new();
    let input = world.input(&["sleep", "1000"]);
    let (shim, launch) = world.idle(Some(input.clone())).await;
    let pid = shim.pid();
    let handle = shim
        .exec(world.exec("e", &input, &["sleep", "1000"]))
        .await
        .unwrap();
    let exec_pid = handle.pid;
    drop((handle, shim));
    let Found::Running {
        shim,
        running,
        gated,
        mut execs,
    } = Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap()
    else {
        panic!("not found");
    };
    assert_eq!((shim.pid(), running.pid, gated), (pid, pid, false));
    let exec = execs.pop().unwrap();
    assert_eq!((exec.id(), exec.pid), ("e", exec_pid));
    exec.signal(9).await.unwrap();
    assert_eq!(within(exec.exited()).await.code, 137);
    shim.signal(15).await.unwrap();
    shim.signal(9).await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 137);
    let found = Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap();
    assert!(matches!(found, Found::Exited(exit) if exit.code == 137));
}

#[tokio::test]
async fn an_exit_that_nobody_saw_and_a_run_that_never_was() {
    let world = World::new();
    let mut launch = world.launch(&world.input(&["sh", "-c", "exit 12"]));
    let found = Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap();
    assert!(matches!(found, Found::Nothing));
    launch.gate = false;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    drop(shim);
    eventually("the exit file", || launch.exit_file.exists()).await;
    let exit = match Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap() {
        Found::Exited(exit) => exit,
        Found::Running { shim, .. } => within(shim.exited()).await,
        _ => panic!("lost"),
    };
    assert_eq!(exit.code, 12);
}

#[tokio::test]
async fn a_gated_container_survives_its_daemon_too() {
    let world = World::new();
    let launch = world.launch(&world.input(&["sh", "-c", "exit 2"]));
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    drop(shim);
    let Found::Running {
        shim, gated: true, ..
    } = Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap()
    else {
        panic!("not at its gate");
    };
    shim.start().await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 2);
}

#[tokio::test]
async fn a_killed_shim_takes_its_container_along_and_adopt_says_so() {
    let world = World::new();
    // The second one changes its user after the exec, which unties it from the shim's death.
    for args in [&["sleep", "1000"][..], &["su", "other", "-c", "exec sleep 1000"]] {
        let (shim, launch) = world.idle(Some(world.input(args))).await;
        let pid = shim.pid();
        let name = format!("/proc/{pid}/comm");
        eventually("the program", || {
            std::fs::read_to_string(&name).is_ok_and(|n| n == "sleep\n")
        })
        .await;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status
            .lines()
            .find_map(|l| l.strip_prefix("PPid:"))
            .unwrap()
            .trim()
            .parse::<i32>()
            .unwrap();
        // SAFETY: a signal to the shim of this test's own container.
        unsafe { libc::kill(parent, libc::SIGKILL) };
        let exit = within(shim.exited()).await;
        assert_eq!(exit.code, 137);
        assert!(exit.error.is_some());
        eventually("the container's death", || !alive(pid)).await;
        let found = Shim::adopt(&launch.run_dir, &launch.exit_file).await.unwrap();
        assert!(matches!(found, Found::Lost(Some(running)) if running.pid == pid));
        // The control group is the caller's to clear.
        let hierarchy = shoal_node_drivers_cgroup::Hierarchy::detect().unwrap();
        let group =
            shoal_node_drivers_cgroup::Cgroup::open(&hierarchy, &launch.cgroup.parent, &launch.cgroup.name)
                .unwrap();
        group.kill().unwrap();
        group.delete().unwrap();
    }
}
