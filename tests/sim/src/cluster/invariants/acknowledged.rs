//! What a proposer was told took effect is committed, at the index that it was told, and stays.

use crate::cluster::world::Inside;

pub fn check(inside: &mut Inside) -> Result<(), String> {
    let oracle = &mut inside.oracle;
    let later = oracle.acknowledged.split_off(&oracle.next);
    let due = std::mem::replace(&mut oracle.acknowledged, later);
    for (index, bytes) in due {
        let (_, payload) = &oracle.committed[index as usize];
        if *payload != bytes {
            return Err(format!(
                "the write acknowledged at {index} is lost: another entry was committed there"
            ));
        }
    }
    Ok(())
}

/// Once everything is calm, nothing that was acknowledged may be missing.
pub fn all_found(inside: &Inside) -> Result<(), String> {
    match inside.oracle.acknowledged.keys().next() {
        None => Ok(()),
        Some(index) => Err(format!(
            "the write acknowledged at {index} is lost: only {} entries are committed",
            inside.oracle.next
        )),
    }
}
