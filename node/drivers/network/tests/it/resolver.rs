use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use shoal_node_core_host::dns::Answer;
use shoal_node_core_host::resolvconf::Server;
use shoal_node_drivers_network::{Links, Names, Netns, Resolvers};

/// Gives the question back, and remembers on which processors it did.
#[derive(Default)]
struct Echo(Mutex<Vec<usize>>);

impl Names for Echo {
    fn answer(&self, message: &[u8], _: bool) -> Answer {
        self.0.lock().push(sched_getcpu());
        Answer::Reply(message.to_vec())
    }

    fn servers(&self) -> Vec<Server> {
        Vec::new()
    }
}

fn ask(socket: &UdpSocket, question: &[u8]) {
    socket.send(question).unwrap();
    let mut reply = [0; 64];
    let length = socket.recv(&mut reply).unwrap();
    assert_eq!(&reply[..length], question);
}

fn connected() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.connect("127.0.0.11:53").unwrap();
    socket
}

#[test]
fn a_question_is_answered_on_the_processor_that_it_was_asked_on() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let resolvers = Resolvers::start(runtime.handle().clone()).unwrap();
    let netns = Arc::new(Netns::create().unwrap());
    Links::loopback_up(&netns).unwrap();
    let echo = Arc::new(Echo::default());
    let resolver = resolvers.serve(netns.clone(), echo.clone()).unwrap();
    let may = sched_getaffinity(None).unwrap();
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| may.is_set(*at)).collect();
    let lanes = processors.len().min(8);
    for processor in processors {
        netns
            .run(|| {
                let mut here = CpuSet::new();
                here.set(processor);
                sched_setaffinity(None, &here).unwrap();
                // Whatever port asks, and again and again.
                for round in 0..20u8 {
                    ask(&connected(), &[round; 12]);
                }
            })
            .unwrap();
        let seen = std::mem::take(&mut *echo.0.lock());
        assert_eq!(seen.len(), 20);
        assert!(
            seen.iter().all(|at| at % lanes == processor % lanes),
            "asked on {processor}, answered on {seen:?}"
        );
    }
    // It ends, and another begins, with the same ports.
    drop(resolver);
    let again = resolvers.serve(netns.clone(), echo.clone()).unwrap();
    netns.run(|| ask(&connected(), &[7; 12])).unwrap();
    drop(again);
}

#[test]
fn a_port_that_somebody_inside_has_is_left_to_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let resolvers = Resolvers::start(runtime.handle().clone()).unwrap();
    let netns = Arc::new(Netns::create().unwrap());
    Links::loopback_up(&netns).unwrap();
    // One that would share it.
    let theirs = netns
        .run(|| {
            let socket = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::DGRAM,
                None,
            )
            .unwrap();
            rustix::net::sockopt::set_socket_reuseport(&socket, true).unwrap();
            let address: SocketAddr = "127.0.0.11:30053".parse().unwrap();
            rustix::net::bind(&socket, &address).unwrap();
            UdpSocket::from(socket)
        })
        .unwrap();
    let _resolver = resolvers.serve(netns.clone(), Arc::new(Echo::default())).unwrap();
    netns
        .run(|| {
            for round in 0..20u8 {
                ask(&connected(), &[round; 12]);
            }
        })
        .unwrap();
    theirs.set_nonblocking(true).unwrap();
    assert!(
        theirs.recv(&mut [0; 64]).is_err(),
        "a question came to somebody else"
    );
}
