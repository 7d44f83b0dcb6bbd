//! A seat whose port is somebody else's when the daemon starts.

use shoal_tests_harness::{Host, World, eventually};
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Somebody who listens on the managers' port.
struct Holder(Child);

impl Holder {
    fn of(host: &Host) -> Self {
        let script = "import socket,time\ns=socket.socket()\ns.setsockopt(socket.SOL_SOCKET,socket.SO_REUSEADDR,1)\n\
                      s.bind(('0.0.0.0',2377))\ns.listen()\nprint('here',flush=True)\ntime.sleep(600)";
        let mut child = host
            .command("python3")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut here = [0; 5];
        let told = child.stdout.as_mut().map(|out| out.read_exact(&mut here));
        assert!(matches!(told, Some(Ok(()))), "nobody listens");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_taken_port_is_said_and_tried_again() {
    let mut world = World::new();
    let mut host = world.host();
    host.start();
    host.docker_ok(&["swarm", "init", "--advertise-addr", &host.address]);
    let node = host.docker_ok(&["info", "--format", "{{.Swarm.NodeID}}"]);
    host.stop();
    let holder = Holder::of(&host);
    host.start();
    let state =
        |host: &Host| host.docker_ok(&["info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.Error}}"]);
    let said = state(&host);
    assert!(
        said.starts_with("error cannot listen on") && said.contains("2377") && said.contains("in use"),
        "{said}"
    );
    assert!(host.docker_err(&["node", "ls"]).contains("not a swarm manager"));
    drop(holder);
    eventually("the seat is taken", Duration::from_secs(15), || {
        (state(&host).trim() == "active").then_some(())
    });
    assert_eq!(host.docker_ok(&["info", "--format", "{{.Swarm.NodeID}}"]), node);
    assert!(host.docker_ok(&["node", "ls"]).contains("Leader"));
    host.stop();
}

#[test]
fn a_seat_that_cannot_be_taken_may_be_given_up() {
    let mut world = World::new();
    let mut host = world.host();
    host.start();
    host.docker_ok(&["swarm", "init", "--advertise-addr", &host.address]);
    host.stop();
    let _holder = Holder::of(&host);
    host.start();
    host.docker_ok(&["swarm", "leave", "--force"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        host.docker_ok(&["info", "--format", "{{.Swarm.LocalNodeState}}"]),
        "inactive"
    );
    host.stop();
}
