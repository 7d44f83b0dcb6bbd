//! Five runs of 10,000 steps. `SHOAL_SIM_SEED` and `SHOAL_SIM_STEPS` choose another run, to look at a failure;
//! `SHOAL_SIM_SEEDS_AFTER` moves all five on, to search for new ones.

use shoal_tests_sim::cluster::story;

fn story(seed: u64) {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let steps = number("SHOAL_SIM_STEPS");
    let seed = number("SHOAL_SIM_SEED").unwrap_or(seed + number("SHOAL_SIM_SEEDS_AFTER").unwrap_or(0));
    match story::run(seed, steps.unwrap_or(10_000)) {
        Ok(report) => println!("seed {seed}: {report:#?}"),
        Err(violation) => panic!("{violation}"),
    }
}

#[test]
fn seed_1() {
    story(1);
}

#[test]
fn seed_2() {
    story(2);
}

#[test]
fn seed_3() {
    story(3);
}

#[test]
fn seed_4() {
    story(4);
}

#[test]
fn seed_5() {
    story(5);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| story::run(seed, 2000).unwrap_or_else(|violation| panic!("{violation}"));
    let (first, second, other) = (run(7), run(7), run(8));
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert!(first.entries > 100 && first.decisions > 20, "{first:?}");
    assert_ne!(first.fingerprint, other.fingerprint);
}
