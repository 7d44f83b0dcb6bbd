use shoal_node_drivers_certs::{
    Credentials, Identity, Issued, Peer, Request, Root, Token, connect_unverified,
};
use shoal_raft_objects::Role;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn issue_at(root: &Root, node: &str, role: Role, now: SystemTime) -> Issued {
    let request = Request::new().unwrap();
    let certificate_pem = root
        .sign(&request.csr_pem, &node.into(), &"c1".into(), role, now, 90 * DAY)
        .unwrap();
    Issued {
        certificate_pem,
        key_pem: request.key_pem,
        root_pem: root.cert_pem().to_owned(),
    }
}

pub fn issue(root: &Root, node: &str, role: Role) -> Issued {
    issue_at(root, node, role, SystemTime::now())
}

/// One connection from `client` to `server`; what the server saw of the client, if both agreed.
async fn meet(server: &Credentials, client: Option<&Credentials>) -> std::io::Result<Peer> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    let acceptor = server.acceptor();
    let accepted = async {
        let (tcp, from) = listener.accept().await?;
        let (mut stream, peer) = acceptor.accept(tcp, from).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        Ok::<_, std::io::Error>((stream, peer))
    };
    let connected = async {
        let mut stream = match client {
            Some(client) => client.connect(&addr).await?,
            None => connect_unverified(&addr).await?,
        };
        // TLS 1.3 tells a client of its certificate's refusal only after its own handshake ended.
        stream.read_u8().await?;
        Ok::<_, std::io::Error>(stream)
    };
    let (accepted, connected) = tokio::join!(accepted, connected);
    connected?;
    Ok(accepted?.1)
}

#[tokio::test]
async fn both_sides_are_known_by_their_certificates() {
    let root = Root::create(SystemTime::now()).unwrap();
    let manager = Credentials::new(&issue(&root, "m1", Role::Manager)).unwrap();
    let worker = Credentials::new(&issue(&root, "w1", Role::Worker)).unwrap();
    let peer = meet(&manager, Some(&worker)).await.unwrap();
    let identity = peer.identity.unwrap();
    assert_eq!(identity.node.as_str(), "w1");
    assert_eq!(identity.cluster.as_str(), "c1");
    assert_eq!(identity.role, Role::Worker);
    assert_eq!(identity, worker.identity());

    let joiner = Credentials::joiner(root.cert_pem()).unwrap();
    assert!(meet(&manager, Some(&joiner)).await.unwrap().identity.is_none());
    assert!(meet(&manager, None).await.unwrap().identity.is_none());
}

#[tokio::test]
async fn whom_a_handshake_refuses() {
    let now = SystemTime::now();
    let root = Root::create(now).unwrap();
    let other = Root::create(now).unwrap();
    let manager = Credentials::new(&issue(&root, "m1", Role::Manager)).unwrap();
    let refused = |result: std::io::Result<Peer>, why: &str| assert!(result.is_err(), "{why}: {result:?}");

    let foreign = Credentials::new(&issue(&other, "m2", Role::Manager)).unwrap();
    refused(meet(&manager, Some(&foreign)).await, "another cluster's client");
    refused(meet(&foreign, Some(&manager)).await, "another cluster's server");

    // A foreign leaf that trusts our root: the server alone must refuse it.
    let mut forged = issue(&other, "m1", Role::Manager);
    forged.root_pem = root.cert_pem().to_owned();
    refused(
        meet(&manager, Some(&Credentials::new(&forged).unwrap())).await,
        "a leaf of another root",
    );

    let expired = Credentials::new(&issue_at(&root, "m3", Role::Manager, now - 91 * DAY)).unwrap();
    refused(meet(&manager, Some(&expired)).await, "an expired client");
    refused(meet(&expired, Some(&manager)).await, "an expired server");

    let future = Credentials::new(&issue_at(&root, "m4", Role::Manager, now + DAY)).unwrap();
    refused(meet(&manager, Some(&future)).await, "a certificate of tomorrow");

    let worker = Credentials::new(&issue(&root, "w1", Role::Worker)).unwrap();
    refused(
        meet(&worker, Some(&manager)).await,
        "a worker that poses as a manager",
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_in_force_at_the_next_handshake() {
    let root = Root::create(SystemTime::now()).unwrap();
    let manager = Credentials::new(&issue(&root, "m1", Role::Manager)).unwrap();
    let node = Credentials::new(&issue(&root, "n1", Role::Worker)).unwrap();
    let renewed = node.renewed();
    let role = |peer: Peer| peer.identity.unwrap().role;
    assert_eq!(role(meet(&manager, Some(&node)).await.unwrap()), Role::Worker);
    node.replace(&issue(&root, "n1", Role::Manager)).unwrap();
    assert!(renewed.has_changed().unwrap());
    assert_eq!(role(meet(&manager, Some(&node)).await.unwrap()), Role::Manager);
}

#[test]
fn a_certificate_is_valid_for_what_it_says_and_renewed_in_time() {
    let now = SystemTime::now();
    let root = Root::create(now).unwrap();
    let identity = Identity::from_pem(&issue(&root, "n1", Role::Worker).certificate_pem).unwrap();
    let day = |t: SystemTime| t.duration_since(now).unwrap().as_secs() / DAY.as_secs();
    assert!(identity.not_before <= now - Duration::from_secs(3590));
    assert_eq!(day(identity.not_after + Duration::from_secs(60)), 90);
    assert_eq!(day(identity.renew_at(0.0) + Duration::from_secs(3600)), 45);
    assert_eq!(day(identity.renew_at(1.0) + Duration::from_secs(3600)), 72);
    assert_ne!(
        identity.serial,
        Identity::from_pem(&issue(&root, "n1", Role::Worker).certificate_pem)
            .unwrap()
            .serial
    );
}

#[test]
fn a_token_names_its_root_and_requests_cannot_name_themselves() {
    let root = Root::create(SystemTime::now()).unwrap();
    let other = Root::create(SystemTime::now()).unwrap();
    let token = Token::generate(&Root::digest(root.cert_pem()).unwrap());
    assert!(token.is_for(&Root::digest(root.cert_pem()).unwrap()));
    assert!(!token.is_for(&Root::digest(other.cert_pem()).unwrap()));
    let now = SystemTime::now();
    let bad = root.sign("garbage", &"n".into(), &"c".into(), Role::Worker, now, DAY);
    assert!(bad.is_err());
    assert!(
        Identity::from_pem(root.cert_pem()).is_err(),
        "a root is nobody's certificate"
    );
}

#[tokio::test]
async fn a_node_is_met_by_its_id_whatever_its_role() {
    let root = Root::create(SystemTime::now()).unwrap();
    let worker = Credentials::new(&issue(&root, "w1", Role::Worker)).unwrap();
    let other = Credentials::new(&issue(&root, "w2", Role::Worker)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let acceptor = worker.acceptor();
    tokio::spawn(async move {
        while let Ok((tcp, from)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(tcp, from).await.map(drop) });
        }
    });
    other.connect_to(&addr, &"w1".into()).await.unwrap();
    for stranger in ["w2", "w3", "swarm-manager"] {
        assert!(
            other.connect_to(&addr, &stranger.into()).await.is_err(),
            "{stranger}"
        );
    }
    assert!(other.connect(&addr).await.is_err(), "a worker is no manager");
}
