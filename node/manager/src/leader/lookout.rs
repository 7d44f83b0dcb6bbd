//! Says once when another manager stops answering, and once when it answers again. Raft itself repeats every failed
//! call, many times a second, so its words on that are not in the daemon's log.

use crate::manager::Manager;
use shoal_raft_consensus::Member;
use shoal_raft_objects::RaftId;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row, because a leader knows of nobody at first, and a new manager opens its log.
const SILENT_LOOKS: u32 = 3;

pub(crate) async fn run(manager: &Manager, over: CancellationToken) {
    let mut lookout = Lookout::default();
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for (member, answers) in lookout.look(manager.ledger.consensus().members()) {
            let (node, addr) = (member.peer.node, member.peer.addr);
            if answers {
                tracing::info!(%node, addr, "a manager answers again");
            } else {
                tracing::warn!(%node, addr, "a manager does not answer");
            }
        }
    }
}

/// For how many looks each manager has been silent.
#[derive(Default)]
struct Lookout {
    silent: BTreeMap<RaftId, u32>,
}

impl Lookout {
    /// Those of whom there is something to say: true if they answer again.
    fn look(&mut self, members: Vec<Member>) -> Vec<(Member, bool)> {
        self.silent
            .retain(|id, _| members.iter().any(|m| m.peer.id == *id));
        let mut news = Vec::new();
        for member in members {
            let id = member.peer.id;
            if member.reachable == Some(false) {
                let looks = self.silent.entry(id).or_default();
                *looks = looks.saturating_add(1);
                if *looks == SILENT_LOOKS {
                    news.push((member, false));
                }
            } else if self.silent.remove(&id).is_some_and(|looks| looks >= SILENT_LOOKS) {
                news.push((member, true));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_raft_consensus::Peer;

    #[test]
    fn each_change_is_told_once() {
        let mut lookout = Lookout::default();
        let mut look = |reachable| {
            let peer = Peer {
                id: RaftId(7),
                node: "n".into(),
                addr: "a:1".into(),
            };
            let member = Member {
                peer,
                votes: true,
                leads: false,
                reachable: Some(reachable),
            };
            let told = lookout.look(vec![member]).into_iter();
            told.map(|(_, answers)| answers).collect::<Vec<_>>()
        };
        let told: Vec<_> = [false, false, true, false, false, false, false, true, true]
            .into_iter()
            .flat_map(&mut look)
            .collect();
        assert_eq!(told, [false, true], "a hiccup is not told");
    }
}
