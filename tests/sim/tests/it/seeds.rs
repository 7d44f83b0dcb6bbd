//! Five runs of 10,000 steps. `SHOAL_SIM_SEED` and `SHOAL_SIM_STEPS` choose another run, to look at a failure or to
//! search for new ones.

use shoal_tests_sim::cluster::story;

fn story(seed: u64) {
    let steps = std::env::var("SHOAL_SIM_STEPS").ok().and_then(|s| s.parse().ok());
    let seed = std::env::var("SHOAL_SIM_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(seed);
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
