use super::*;
use shoal_raft_objects::{Proposal, Service, ServiceSpec, Task, Time, Write};

fn sample(objects: usize) -> State {
    let mut state = State::default();
    let writes = (0..objects)
        .map(|n| {
            Write::Create(if n % 2 == 0 {
                Object::from(Service {
                    id: format!("s{n:05}").into(),
                    spec: ServiceSpec {
                        name: format!("service-{n}"),
                        ..Default::default()
                    },
                    ..Default::default()
                })
            } else {
                Object::from(Task {
                    id: format!("t{n:05}").into(),
                    service_id: format!("s{:05}", n - 1).into(),
                    slot: 1,
                    node_id: "n1".into(),
                    ..Default::default()
                })
            })
        })
        .collect();
    state.apply(9, &Proposal { at: Time(5), writes });
    state
}

fn chunks(state: &State, bytes: usize) -> Vec<Vec<u8>> {
    encode(state, bytes).collect::<Result<_, _>>().unwrap()
}

fn decode(chunks: &[Vec<u8>]) -> Result<State, Error> {
    let mut decoder = Decoder::default();
    for chunk in chunks {
        decoder.push(chunk)?;
    }
    decoder.finish()
}

#[test]
fn any_state_comes_back_whole_with_its_indexes() {
    for objects in [0, 1, 2, 500] {
        let state = sample(objects);
        for bytes in [1, 1000, 1 << 20] {
            let chunks = chunks(&state, bytes);
            let back = decode(&chunks).unwrap();
            assert_eq!(back, state);
            assert_eq!(back.tasks_of_node(&"n1".into()).count(), objects / 2);
            if bytes == 1000 {
                assert!(
                    chunks.iter().all(|c| c.len() < 3000),
                    "chunks stay near their bound"
                );
            }
        }
    }
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let chunks = chunks(&sample(40), 500);
    for at in 0..chunks.len() {
        let mut flipped = chunks.clone();
        let middle = flipped[at].len() / 2;
        flipped[at][middle] ^= 1;
        assert!(
            matches!(decode(&flipped), Err(Error::Damaged { .. })),
            "bit in chunk {at}"
        );

        let mut missing = chunks.clone();
        missing.remove(at);
        assert!(decode(&missing).is_err(), "chunk {at} missing");

        let mut twice = chunks.clone();
        twice.insert(at, chunks[at].clone());
        assert!(decode(&twice).is_err(), "chunk {at} twice");
    }
    assert!(matches!(
        decode(&chunks[..chunks.len() - 1]),
        Err(Error::Truncated { .. })
    ));
    assert!(matches!(decode(&[]), Err(Error::Truncated { chunks: 0 })));
    assert!(decode(&[vec![], vec![1, 2, 3]]).is_err());
}
