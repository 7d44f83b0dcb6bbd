//! Whether a task without a health check takes connections yet: its first process runs well before it listens, and the
//! nodes would lead requests to a closed door. Learned from the kernel's list of sockets, so that nothing connects to it.

use shoal_raft_objects::Task;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// A task that publishes a port and does not listen there is not kept back for longer: it may do so when it likes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks; longer each time.
const LOOK_FIRST: Duration = Duration::from_millis(4);
const LOOK_MAX: Duration = Duration::from_millis(100);

/// Returns once the process listens on every TCP port that the task publishes through the ingress network, once it is gone, or
/// after five seconds. `pid` is the container's first process.
pub async fn await_listening(task: &Task, pid: i64) {
    let published = task.ports.iter().filter(|p| p.publish_mode != "host");
    let wanted: BTreeSet<u16> = published
        .filter(|p| matches!(p.protocol.as_str(), "" | "tcp"))
        .map(|p| p.target_port)
        .collect();
    if wanted.is_empty() || pid <= 0 {
        return;
    }
    let until = Instant::now() + PATIENCE;
    let mut pause = LOOK_FIRST;
    loop {
        let there = tokio::task::spawn_blocking(move || ports(pid)).await;
        match there {
            Ok(Ok(there)) if !wanted.is_subset(&there) => {}
            // What became of it is told by who waits for its end.
            _ => return,
        }
        if Instant::now() + pause > until {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}

/// The ports on which anybody listens in the network namespace of a process.
fn ports(pid: i64) -> std::io::Result<BTreeSet<u16>> {
    let mut found = listeners(&std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?);
    // A kernel without IPv6 has no such file.
    if let Ok(six) = std::fs::read_to_string(format!("/proc/{pid}/net/tcp6")) {
        found.extend(listeners(&six));
    }
    Ok(found)
}

/// Of the text of `/proc/net/tcp` or `tcp6`: number, local address and port, the other end's, state, …
fn listeners(table: &str) -> BTreeSet<u16> {
    const LISTEN: &str = "0A";
    let port = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let port = local.rsplit_once(':')?.1;
        (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n   \
            1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
            2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000\n   \
            3: broken\n";
        assert_eq!(listeners(table), [0x1F90, 80].into());
        assert!(listeners("").is_empty());
    }

    #[tokio::test]
    async fn it_waits_for_a_listener_and_not_for_what_needs_none() {
        let own = i64::from(std::process::id());
        let task = |port: u16, protocol: &str, mode: &str| {
            let mut task = Task::default();
            task.ports.push(shoal_raft_objects::PortConfig {
                protocol: protocol.into(),
                target_port: port,
                publish_mode: mode.into(),
                ..Default::default()
            });
            task
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let began = Instant::now();
        for (protocol, mode) in [("udp", "ingress"), ("tcp", "host")] {
            await_listening(&task(port, protocol, mode), own).await;
        }
        // Nor for one that is gone.
        await_listening(&task(port, "tcp", "ingress"), i64::from(i32::MAX)).await;
        assert!(began.elapsed() < PATIENCE / 2);
        let late = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            tokio::net::TcpListener::bind(("127.0.0.1", port)).await
        });
        await_listening(&task(port, "tcp", "ingress"), own).await;
        let _listener = late.await.expect("a task").expect("the port");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(150) && took < PATIENCE, "{took:?}");
    }
}
