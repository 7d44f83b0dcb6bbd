//! How long the usual things take. The figures are printed (`--no-capture`); the bounds only catch a way that has
//! become slower by an order of magnitude, on any machine and in any build.

use std::time::{Duration, Instant};

use crate::support::*;

/// The best and the middle one: on a busy machine the first says more about this program.
fn summary(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort();
    (all[0], all[all.len() / 2])
}

/// Processor time of children that have been waited for.
fn children() -> Duration {
    // SAFETY: plain data, filled by the call.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    // SAFETY: the structure is live.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

#[tokio::test]
async fn start_exec_and_end() {
    let world = World::new();
    let rounds = 30;
    let (mut started, mut ended, mut held, mut opened) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let mut launch = world.launch(&world.input(&["true"]));
        launch.gate = false;
        let begin = Instant::now();
        let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
        started.push(begin.elapsed());
        within(shim.exited()).await;
        ended.push(begin.elapsed());

        launch.gate = true;
        let begin = Instant::now();
        let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
        held.push(begin.elapsed());
        let begin = Instant::now();
        shim.start().await.unwrap();
        opened.push(begin.elapsed());
        within(shim.exited()).await;
    }
    // Every shim's and container's processor time, less than what the wall clock says on a busy machine.
    let processor = children() / (2 * rounds);
    println!(
        "processor time of a container's whole life: {:.2} ms",
        processor.as_secs_f64() * 1e3
    );
    let input = world.input(&["sleep", "1000"]);
    let (shim, _) = world.idle(Some(input.clone())).await;
    let (mut exec_started, mut exec_ended) = (vec![], vec![]);
    for round in 0..rounds {
        let exec = world.exec(&format!("e{round}"), &input, &["true"]);
        let begin = Instant::now();
        let handle = shim.exec(exec).await.unwrap();
        exec_started.push(begin.elapsed());
        within(handle.exited()).await;
        exec_ended.push(begin.elapsed());
    }
    let pid = shim.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status
        .lines()
        .find_map(|l| l.strip_prefix("PPid:"))
        .unwrap()
        .trim()
        .to_owned();
    let rollup = std::fs::read_to_string(format!("/proc/{parent}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter_map(|l| {
            l.strip_prefix("Private_Dirty:")
                .or_else(|| l.strip_prefix("Private_Clean:"))
        })
        .map(|l| l.trim().trim_end_matches(" kB").parse::<u64>().unwrap())
        .sum();
    let anonymous = rollup
        .lines()
        .find_map(|l| l.strip_prefix("Anonymous:"))
        .unwrap()
        .trim();
    let begin = Instant::now();
    shim.signal(libc::SIGKILL).await.unwrap();
    within(shim.exited()).await;
    let killed = begin.elapsed();
    let figures = [
        ("launch to exec", summary(started), 200),
        ("launch to exit seen of true", summary(ended), 400),
        ("launch to gate", summary(held), 200),
        ("gate to exec", summary(opened), 50),
        ("exec started", summary(exec_started), 100),
        ("exec to exit seen of true", summary(exec_ended), 100),
        ("kill to exit seen", (killed, killed), 400),
    ];
    for (what, (best, median), _) in figures {
        println!(
            "{what}: best {:.2} ms, median {:.2} ms",
            best.as_secs_f64() * 1e3,
            median.as_secs_f64() * 1e3
        );
    }
    println!("shim: private {private} kB (shared with no other shim), anonymous {anonymous}");
    for (what, (_, time), limit_ms) in figures {
        // An emulated machine is ten times slower still.
        assert!(time < Duration::from_millis(limit_ms * 10), "{what}: {time:?}");
    }
}
