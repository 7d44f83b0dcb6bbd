//! Names asked and pages fetched from within a network namespace, by this process: no program is started for it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
const TYPE_A: u16 = 1;

/// What `act` answers on a thread in the network namespace that the file stands for.
pub fn inside<T: Send>(netns: &Path, act: impl FnOnce() -> T + Send) -> T {
    let enter_and_act = || {
        let file = File::open(netns).unwrap_or_else(|e| panic!("{}: {e}", netns.display()));
        nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).expect("the namespace is entered");
        act()
    };
    std::thread::scope(|s| match s.spawn(enter_and_act).join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A resolver's socket: 127.0.0.11 of the namespace that it was made in.
pub struct Resolver {
    socket: UdpSocket,
    asked: u16,
}

impl Resolver {
    pub fn new() -> Result<Resolver> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect((Ipv4Addr::new(127, 0, 0, 11), 53))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Resolver { socket, asked: 0 })
    }

    /// The IPv4 addresses of a name, none if it is not known.
    pub fn addresses(&mut self, name: &str) -> Result<BTreeSet<String>> {
        self.asked = self.asked.wrapping_add(1);
        let mut query = self.asked.to_be_bytes().to_vec();
        // Recursion desired; one question.
        query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            query.push(u8::try_from(label.len()).expect("a label of a name"));
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        self.socket.send(&query)?;
        let mut answer = [0; 1500];
        loop {
            let len = self.socket.recv(&mut answer)?;
            if answer[..len].starts_with(&query[..2]) {
                return Ok(parse(&answer[..len], query.len()));
            }
        }
    }
}

/// Addresses of an answer whose records begin at `at`.
fn parse(answer: &[u8], mut at: usize) -> BTreeSet<String> {
    let word = |at: usize| answer.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    let mut found = BTreeSet::new();
    for _ in 0..word(6).unwrap_or(0) {
        // A name is labels and an end, or leads elsewhere by two bytes.
        while let Some(len) = answer.get(at).copied().filter(|len| (1..0xc0).contains(len)) {
            at += 1 + usize::from(len);
        }
        at += if answer.get(at) == Some(&0) { 1 } else { 2 };
        let (Some(kind), Some(len)) = (word(at), word(at + 8)) else {
            break;
        };
        if let (TYPE_A, Some([a, b, c, d])) = (kind, answer.get(at + 10..at + 14)) {
            found.insert(Ipv4Addr::new(*a, *b, *c, *d).to_string());
        }
        at += 10 + usize::from(len);
    }
    found
}

/// The page at this address: the host name of the container that answers.
pub fn page(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /hostname HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    match head.contains(" 200 OK") {
        true => Ok(body.trim().to_owned()),
        false => Err(std::io::Error::other(format!("answered {head:?}"))),
    }
}
