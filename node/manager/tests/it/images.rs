//! Nodes offer each other their images: who is told of whom, who may ask whom, and what else a worker's listener does not do.

use crate::harness::{Node, eventually};
use shoal_api_backend::Swarm as _;
use shoal_api_wire::channel;
use shoal_api_wire::dispatcher::FromAgent;
use shoal_api_wire::dispatcher::dispatcher_client::DispatcherClient;
use shoal_api_wire::images::images_client::ImagesClient;
use shoal_api_wire::images::{MeetRequest, ReadRequest, ResolveRequest};
use shoal_api_wire::pieces;
use shoal_node_agent::Peers;
use shoal_node_drivers_certs::connect_unverified;
use tokio_stream::StreamExt;
use tonic::Code;

fn peers(node: &Node) -> Peers {
    node.host.peers.lock().clone().expect("the agent has started")
}

async fn await_others(node: &Node, count: usize) {
    eventually("the others are known", async || {
        peers(node).others().len() == count
    })
    .await;
}

/// Asks `to` as `from`; the name that answers.
async fn ask(from: &Node, to: &Node) -> Result<String, Code> {
    let mut client = peers(from)
        .images(&to.id().await.as_str().into())
        .map_err(|s| s.code())?;
    let answer = client.resolve(ResolveRequest::default()).await;
    let offer = answer.map_err(|s| s.code())?.into_inner().offer;
    Ok(offer.unwrap_or_default().image_id)
}

/// What comes of a blob, and how it ended if not well.
async fn blob(from: &Node, to: &Node, digest: &str) -> (String, Option<Code>) {
    let channel = peers(from).channel(&to.id().await.as_str().into()).unwrap();
    let request = ReadRequest {
        digest: digest.into(),
        ..ReadRequest::default()
    };
    let mut pieces = match pieces::open(channel, request).await {
        Ok(pieces) => pieces,
        Err(status) => return (String::new(), Some(status.code())),
    };
    let (mut text, mut moved) = (String::new(), 0);
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                text += str::from_utf8(&piece.data).unwrap();
                moved += piece.moved;
            }
            Err(status) => return (text, Some(status.code())),
        }
    }
    assert_eq!(moved, 7, "the sign of life came too");
    (text, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_serves_every_other_one() {
    let m = Node::init("m").await;
    let a = Node::worker_of("a", &m).await;
    let b = Node::worker_of("b", &m).await;
    for node in [&m, &a, &b] {
        await_others(node, 2).await;
    }
    for (from, to) in [(&m, &a), (&a, &m), (&a, &b), (&b, &a)] {
        assert_eq!(ask(from, to).await.as_deref(), Ok(to.name.as_str()));
    }
    let mut client = peers(&a).images(&b.id().await.as_str().into()).unwrap();
    let met = client.meet(MeetRequest::default()).await.unwrap().into_inner();
    assert_eq!(met.held, [a.id().await], "the caller is who its certificate says");
    let request = ReadRequest {
        digest: "some bytes".into(),
        ..ReadRequest::default()
    };
    // With any client, and with the one that reads blobs.
    let mut pieces = client.read(request).await.unwrap().into_inner();
    assert_eq!(pieces.message().await.unwrap().unwrap().moved, 7);
    assert_eq!(pieces.message().await.unwrap().unwrap().data, "some bytes");
    assert!(pieces.message().await.unwrap().is_none());
    assert_eq!(blob(&a, &b, "large").await, ("x".repeat(900_000), None));
    assert_eq!(blob(&a, &b, "none").await, (String::new(), Some(Code::NotFound)));
    assert_eq!(
        blob(&a, &b, "broken").await,
        ("broken".into(), Some(Code::Internal))
    );
    let refused = blob(&a, &b, &"x".repeat(5000)).await;
    assert_eq!(refused, (String::new(), Some(Code::InvalidArgument)));

    // Without a certificate there is nothing to have, and a worker's listener is no manager's.
    let stranger = channel::lazy(&b.addr, |addr| async move { connect_unverified(&addr).await }).unwrap();
    let refused = ImagesClient::new(stranger.clone())
        .resolve(ResolveRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let none = tokio_stream::empty::<FromAgent>();
    let refused = DispatcherClient::new(stranger).session(none).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);

    // A role changes, the offer stays.
    let id = b.id().await;
    let (version, mut spec) = {
        let known = m.swarm.node(&id).await.unwrap();
        (known.meta.version.index, known.spec)
    };
    spec.role = "manager".into();
    m.swarm.update_node(&id, version, spec).await.unwrap();
    eventually("b is a manager", async || {
        let known = m.swarm.node(&id).await.unwrap();
        known.manager_status.is_some()
    })
    .await;
    eventually("b still answers", async || {
        ask(&a, &b).await.as_deref() == Ok(b.name.as_str())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_may_not_ask() {
    let m = Node::init("m").await;
    let a = Node::worker_of("a", &m).await;
    let b = Node::worker_of("b", &m).await;
    for node in [&m, &a, &b] {
        await_others(node, 2).await;
    }
    let kept = peers(&a);
    let (b_id, m_id) = (b.id().await, m.id().await);
    m.swarm.remove_node(&a.id().await, true).await.unwrap();
    await_others(&b, 1).await;
    for other in [b_id, m_id] {
        let asked = kept.images(&other.as_str().into());
        let code = match asked {
            Ok(mut client) => client.resolve(ResolveRequest::default()).await.map(drop),
            Err(status) => Err(status),
        };
        assert_eq!(code.unwrap_err().code(), Code::PermissionDenied);
    }
}
