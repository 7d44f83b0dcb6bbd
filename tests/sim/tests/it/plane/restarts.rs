//! How often a service that cannot run is tried again.

use serde_json::json;
use shoal_tests_sim::plane::world::World;
use std::time::Duration;

/// Tasks made within a minute, in a cluster of three, for a service whose image does what `image` says. With the
/// default delay of 5 s unless `policy` says otherwise.
fn made_in_a_minute(mode: serde_json::Value, image: &str, policy: serde_json::Value, leaders: u32) -> usize {
    let mut world = World::new(7, 3);
    world.tracing = true;
    let spec = json!({
        "Name": "s",
        "TaskTemplate": {"ContainerSpec": {"Image": image}, "RestartPolicy": policy},
        "Mode": mode
    });
    world.create(serde_json::from_value(spec).unwrap());
    for _ in 0..=leaders {
        world.run(Duration::from_secs(60) / (leaders + 1));
        if leaders > 0 {
            world.change_leader();
        }
    }
    world.trace.iter().filter(|line| line.starts_with('+')).count()
}

fn one() -> serde_json::Value {
    json!({"Replicated": {"Replicas": 1}})
}

#[test]
fn an_image_that_cannot_be_had_is_tried_again_only_after_the_delay() {
    // The first, its replacement at once (it waits, but is prepared meanwhile), and one more every five seconds: as
    // Docker's own engine does, which has five after 20 s.
    let once_per_delay = 12..=14;
    let made = made_in_a_minute(one(), "broken", json!({}), 0);
    assert!(once_per_delay.contains(&made), "{made}");
    let made = made_in_a_minute(json!({"Global": {}}), "broken", json!({}), 0);
    assert!((3 * 12..=3 * 14).contains(&made), "{made} on three nodes");
    for total in [1, 5] {
        // One that waits takes its lane: no other completion is begun beside it.
        let job = json!({"ReplicatedJob": {"TotalCompletions": total, "MaxConcurrent": 1}});
        let made = made_in_a_minute(job, "broken", json!({"Condition": "on-failure"}), 0);
        assert!(once_per_delay.contains(&made), "{made} of a job of {total}");
    }
    let second = json!({"Delay": 1_000_000_000});
    let made = made_in_a_minute(one(), "broken", second, 0);
    assert!((58..=63).contains(&made), "{made}");
    // A new leader knows nothing but what is written.
    let made = made_in_a_minute(one(), "broken", json!({}), 19);
    assert!(once_per_delay.contains(&made), "{made} under twenty leaders");
    let attempts = json!({"MaxAttempts": 3});
    assert_eq!(made_in_a_minute(one(), "broken", attempts, 0), 4);
}

#[test]
fn a_container_that_ends_at_once_is_tried_again_only_after_the_delay() {
    let made = made_in_a_minute(one(), "crash", json!({}), 0);
    assert!((12..=14).contains(&made), "{made}");
}
