//! Frames made wrong: whoever reads a shim's socket, on either side, answers and never panics.

use crate::message::{Attach, Exec, Notice, Reply, Request, Target};
use crate::{Launch, frame};
use shoal_tests_mutate::mutations;

#[test]
fn frames() {
    let exec = Exec {
        id: "e".into(),
        process: oci_spec::runtime::Process::default(),
        tty: true,
        size: Some((80, 24)),
        attach: Attach {
            stdin: true,
            stdout: true,
            stderr: false,
        },
        unconfined: false,
    };
    let seeds: Vec<Vec<u8>> = [
        Request::Status,
        Request::Start,
        Request::Signal {
            target: Target::Exec("x".into()),
            signal: 9,
        },
        Request::Resize {
            target: Target::Container,
            width: 80,
            height: 24,
        },
        Request::Attach(exec.attach),
        Request::Exec(Box::new(exec)),
    ]
    .iter()
    .map(|request| frame::encode(request).expect("a frame"))
    .collect();
    mutations(&seeds, 8000, |input| {
        if let Ok(Some((_, used))) = frame::take::<Request>(input) {
            assert!(used <= input.len());
        }
        let _ = frame::take::<Reply>(input);
        let _ = frame::take::<Notice>(input);
        let _ = frame::take::<Launch>(input);
    });
}
