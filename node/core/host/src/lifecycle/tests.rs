use super::*;

fn rules(policy: Policy) -> Rules {
    Rules {
        policy,
        auto_remove: false,
        stop_signal: 15,
        restart_unhealthy: false,
    }
}

fn run(state: &State, rules: &Rules, input: Input, now_ms: u64) -> (State, Vec<Effect>) {
    step(state, rules, input, Time(1).plus_ms(now_ms)).expect("legal")
}

fn exit(code: i32, at_ms: u64) -> Input {
    Input::Exited {
        exit_code: code,
        oom_killed: false,
        at: Time(1).plus_ms(at_ms),
        error: String::new(),
    }
}

fn running(rules: &Rules) -> State {
    let (s, effects) = run(&State::default(), rules, Input::Start, 0);
    assert_eq!(effects, [Effect::Launch]);
    run(&s, rules, Input::Launched { pid: 7, at: Time(1) }, 0).0
}

#[test]
fn an_unhealthy_container_is_restarted_only_where_that_was_asked_for() {
    let unhealthy = || Input::Unhealthy { timeout_ms: Some(5) };
    let plain = rules(Policy::No);
    let (s, effects) = run(&running(&plain), &plain, unhealthy(), 10);
    assert!(effects.is_empty() && !s.is_stopping());
    let asked = Rules {
        restart_unhealthy: true,
        ..plain
    };
    let (s, effects) = run(&running(&asked), &asked, unhealthy(), 10);
    assert_eq!(
        effects,
        [Effect::Signal(15), Effect::Emit(Action::Kill { signal: 15 })]
    );
    let (again, none) = run(&s, &asked, unhealthy(), 12);
    assert!(none.is_empty() && again == s, "it is being stopped already");
    let (s, effects) = run(&s, &asked, Input::Tick, 20);
    assert!(effects.contains(&Effect::KillAll), "{effects:?}");
    let (s, effects) = run(&s, &asked, exit(137, 25), 25);
    assert_eq!(effects.last(), Some(&Effect::Launch));
    let (s, _) = run(
        &s,
        &asked,
        Input::Launched {
            pid: 8,
            at: Time(1).plus_ms(30),
        },
        30,
    );
    assert_eq!(
        (s.phase, s.restart_count, s.manually_stopped),
        (Phase::Running, 1, false)
    );
}

#[test]
fn a_plain_run_ends_exited() {
    let rules = rules(Policy::No);
    let s = running(&rules);
    assert_eq!((s.phase, s.pid), (Phase::Running, 7));
    let (s, effects) = run(&s, &rules, exit(3, 50), 50);
    assert_eq!((s.phase, s.exit_code, s.exits, s.pid), (Phase::Exited, 3, 1, 0));
    assert_eq!(
        effects,
        [
            Effect::Release,
            Effect::Emit(Action::Die {
                exit_code: 3,
                ran_ms: 50
            }),
            Effect::Persist
        ]
    );
}

#[test]
fn a_second_start_is_refused_and_a_second_exit_ignored() {
    let rules = rules(Policy::No);
    let s = running(&rules);
    assert_eq!(
        step(&s, &rules, Input::Start, Time(2)),
        Err(Refusal::AlreadyRunning)
    );
    let (s, _) = run(&s, &rules, exit(0, 1), 1);
    assert_eq!(run(&s, &rules, exit(9, 2), 2), (s, vec![]));
}

#[test]
fn restarts_back_off_and_reset_after_a_steady_run() {
    let rules = rules(Policy::Always);
    let mut s = running(&rules);
    let mut now = 0;
    for wait in [100, 200, 400, 800] {
        (s, _) = run(&s, &rules, exit(1, now + 5), now + 5);
        assert_eq!(s.phase, Phase::Restarting);
        assert_eq!(s.wake_at(), Some(Time(1).plus_ms(now + 5 + wait)));
        now += 5 + wait;
        let (n, effects) = run(&s, &rules, Input::Tick, now);
        assert_eq!(effects, [Effect::Launch]);
        (s, _) = run(
            &n,
            &rules,
            Input::Launched {
                pid: 8,
                at: Time(1).plus_ms(now),
            },
            now,
        );
    }
    assert_eq!(s.restart_count, 4);
    (s, _) = run(&s, &rules, exit(1, now + 10_000), now + 10_000);
    assert_eq!(s.backoff_ms, 100);
}

#[test]
fn the_back_off_is_capped() {
    let mut wait = 0;
    for _ in 0..40 {
        wait = backoff_next(wait, 0);
    }
    assert_eq!(wait, 60_000);
}

#[test]
fn a_stop_kills_after_its_timeout_and_no_policy_undoes_it() {
    let rules = rules(Policy::Always);
    let s = running(&rules);
    let stop = Input::Stop {
        signal: None,
        timeout_ms: Some(100),
        then: Then::Stay,
    };
    let (s, effects) = run(&s, &rules, stop, 0);
    assert_eq!(effects[0], Effect::Signal(15));
    assert_eq!(s.wake_at(), Some(Time(1).plus_ms(100)));
    let (s, effects) = run(&s, &rules, Input::Tick, 100);
    assert_eq!(effects[0], Effect::KillAll);
    assert_eq!(s.wake_at(), None);
    let (s, effects) = run(&s, &rules, exit(137, 101), 101);
    assert_eq!(s.phase, Phase::Exited);
    assert!(effects.contains(&Effect::Emit(Action::Stop)));
    assert_eq!(
        run(&s, &rules, Input::Boot, 200).0.phase,
        Phase::Restarting,
        "always starts at boot"
    );
    let unless = self::rules(Policy::UnlessStopped);
    assert_eq!(run(&s, &unless, Input::Boot, 200).0.phase, Phase::Exited);
}

#[test]
fn a_shutdown_is_not_a_users_stop() {
    let rules = rules(Policy::UnlessStopped);
    let stop = Input::Stop {
        signal: None,
        timeout_ms: Some(100),
        then: Then::Shutdown,
    };
    let (s, _) = run(&running(&rules), &rules, stop, 0);
    let (s, _) = run(&s, &rules, exit(143, 5), 5);
    assert_eq!(s.phase, Phase::Exited);
    assert_eq!(run(&s, &rules, Input::Boot, 10).0.phase, Phase::Restarting);
}

#[test]
fn a_restart_keeps_an_auto_removed_container() {
    let rules = Rules {
        auto_remove: true,
        ..rules(Policy::No)
    };
    let restart = Input::Stop {
        signal: None,
        timeout_ms: Some(100),
        then: Then::Start,
    };
    let (s, _) = run(&running(&rules), &rules, restart, 0);
    let (s, effects) = run(&s, &rules, exit(0, 1), 1);
    assert_eq!(effects.last(), Some(&Effect::Launch));
    let (s, effects) = run(
        &s,
        &rules,
        Input::Launched {
            pid: 9,
            at: Time(1).plus_ms(2),
        },
        2,
    );
    assert!(effects.contains(&Effect::Emit(Action::Restart)));
    let (s, effects) = run(&s, &rules, exit(0, 3), 3);
    assert_eq!(s.phase, Phase::Removing);
    assert_eq!(effects.last(), Some(&Effect::Delete { volumes: true }));
}

#[test]
fn a_forced_removal_waits_for_the_end() {
    let rules = rules(Policy::Always);
    let s = running(&rules);
    assert_eq!(
        step(&s, &rules, Input::Remove { force: false }, Time(2)),
        Err(Refusal::RemoveRunning)
    );
    let (s, effects) = run(&s, &rules, Input::Remove { force: true }, 0);
    assert_eq!(effects[0], Effect::KillAll);
    let (s, effects) = run(&s, &rules, exit(137, 1), 1);
    assert_eq!(s.phase, Phase::Removing);
    assert_eq!(effects.last(), Some(&Effect::Delete { volumes: false }));
    assert_eq!(
        step(&s, &rules, Input::Remove { force: true }, Time(2)),
        Err(Refusal::Removing)
    );
    let (s, _) = run(&s, &rules, Input::RemoveFailed { error: "busy".into() }, 2);
    assert_eq!(s.phase, Phase::Dead);
    assert_eq!(
        run(&s, &rules, Input::Remove { force: false }, 3).0.phase,
        Phase::Removing
    );
}

#[test]
fn a_first_start_that_fails_stays_created() {
    let rules = rules(Policy::Always);
    let (s, _) = run(&State::default(), &rules, Input::Start, 0);
    let (s, _) = run(
        &s,
        &rules,
        Input::LaunchFailed {
            exit_code: 127,
            error: "no such file".into(),
        },
        1,
    );
    assert_eq!((s.phase, s.exit_code), (Phase::Created, 127));
}

#[test]
fn on_failure_counts_its_tries() {
    let rules = rules(Policy::OnFailure { retries_max: 1 });
    let (s, _) = run(&running(&rules), &rules, exit(1, 1), 1);
    assert_eq!(s.phase, Phase::Restarting);
    let (s, _) = run(
        &s,
        &rules,
        Input::Launched {
            pid: 8,
            at: Time(1).plus_ms(2),
        },
        2,
    );
    assert_eq!(run(&s, &rules, exit(1, 3), 3).0.phase, Phase::Exited);
    assert_eq!(run(&s, &rules, exit(0, 3), 3).0.phase, Phase::Exited);
}

#[test]
fn a_lost_process_is_255() {
    let rules = rules(Policy::No);
    let (s, _) = run(&running(&rules), &rules, Input::FoundNothing, 1);
    assert_eq!((s.phase, s.exit_code), (Phase::Exited, 255));
}

#[test]
fn policies_parse_as_docker_says() {
    assert_eq!(
        Policy::parse("on-failure", 3),
        Ok(Policy::OnFailure { retries_max: 3 })
    );
    assert!(
        Policy::parse("sometimes", 0)
            .unwrap_err()
            .contains("unknown policy 'sometimes'")
    );
    assert!(Policy::parse("always", 1).is_err());
}

#[test]
fn a_daemon_that_comes_back_holds_to_what_a_user_paused_and_resumes_what_a_commit_did() {
    let rules = rules(Policy::No);
    let found = || Input::FoundRunning { pid: 7, at: Time(1) };
    for (to_read, phase, effect) in [
        (false, Phase::Paused, Effect::Freeze),
        (true, Phase::Running, Effect::Thaw),
    ] {
        let (paused, _) = run(&running(&rules), &rules, Input::Pause { to_read }, 5);
        let (s, effects) = run(&paused, &rules, found(), 10);
        assert_eq!((s.phase, effects), (phase, vec![effect, Effect::Persist]));
    }
    // Killed between the freezer and the record.
    let (s, effects) = run(&running(&rules), &rules, found(), 10);
    assert_eq!(
        (s.phase, effects),
        (Phase::Running, vec![Effect::Thaw, Effect::Persist])
    );
}
