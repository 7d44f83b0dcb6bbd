//! A client with one port for connections to several nodes, as a balancer before the cluster has them.

use crate::mesh::*;
use shoal_tests_cluster::Cluster;
use shoal_tests_harness::eventually;

/// Connections from one port to all of these at once, request and answer on each, and again from the next port.
const CLIENT: &str = "
import socket, sys
targets, failed = sys.argv[1:], []
for port in range(21000, 21040):
    open_ = []
    for target in targets:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(3)
        try:
            s.bind(('', port)); s.connect((target, 8080)); open_.append((target, s))
        except OSError as e: failed.append((port, target, 'connect', str(e)))
    for target, s in open_:
        got = b''
        try:
            s.sendall(b'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n')
            while True:
                more = s.recv(4096)
                if not more: break
                got += more
            if b'200 OK' not in got: failed.append((port, target, 'answer', repr(got)))
        except OSError as e: failed.append((port, target, 'answer', str(e)))
        s.close()
print(len(failed), failed[:6])
";

#[test]
fn connections_from_one_port_to_several_nodes_are_not_confused() {
    let mut cluster = Cluster::form(1, 2);
    let client = cluster.world.host();
    // One task, on a node that is asked itself too.
    let there = ["--publish", "8080:80", "--constraint", "node.role==manager"];
    servers(&cluster, "web", 1, &there);
    for host in &cluster.hosts {
        eventually("the port answers", LIMIT, || {
            ask(&client, &host.address, 8080).filter(|answer| answer.starts_with(&client.address))
        });
    }
    let mut nodes: Vec<&str> = cluster.hosts.iter().map(|h| h.address.as_str()).collect();
    for _ in 0..nodes.len() {
        nodes.rotate_left(1);
        let mut args = vec!["-c", CLIENT];
        args.extend(&nodes);
        let out = client.command("python3").args(args).output().expect("python3");
        assert_eq!(
            String::from_utf8_lossy(&out.stdout).trim(),
            "0 []",
            "in the order {nodes:?}"
        );
    }
}
