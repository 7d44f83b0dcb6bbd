//! `docker swarm join`: a place in a cluster that exists.

use super::Swarm;
use super::member::Member;
use super::place::{self, Door, Running, blocking};
use crate::SwarmError;
use crate::address;
use crate::control::convert::node::availability_from;
use crate::error;
use crate::host::ManagerAddr;
use crate::state_file::Saved;
use shoal_api_backend::{Class, Error, Result};
use shoal_api_types::swarm::JoinRequest;
use shoal_api_wire::ca::ca_client::CaClient;
use shoal_api_wire::ca::{IssueRequest, IssueResponse, RootRequest};
use shoal_api_wire::channel;
use shoal_node_drivers_certs::{Credentials, Files, Issued, Request, Root, Token, connect_unverified};
use shoal_raft_objects::{Role, codec};
use std::sync::Arc;
use std::time::Duration;

/// One remote has so long for each question.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The leader may be in the middle of an election when it is asked for a certificate.
const ISSUE_TIMEOUT: Duration = Duration::from_secs(12);
/// The agent's first session; a join is answered after that without one.
const SESSION: Duration = Duration::from_secs(5);

impl Swarm {
    pub(super) async fn join_cluster(&self, request: JoinRequest) -> Result<()> {
        let _alone = self.inner.changing.lock().await;
        self.check_free()?;
        let token = Token::parse(&request.join_token).map_err(|e| Error::invalid(e.to_string()))?;
        let availability = request.availability.clone();
        availability_from(&availability)?;
        let mut remotes = Vec::new();
        for remote in request.remote_addrs.iter() {
            remotes.push(address::remote(remote)?);
        }
        if remotes.is_empty() {
            return Err(Error::invalid("at least 1 RemoteAddr is required to join"));
        }
        let listen = address::listen(&request.listen_addr)?;
        let advertise = address::advertise(
            &request.advertise_addr,
            listen,
            remotes.first().map(String::as_str),
        )?;
        let data_path = address::data_path(&request.data_path_addr)?;
        let issued = self.certificate(&token, &remotes, &availability).await?;
        let mut saved = Saved {
            listen_addr: listen.to_string(),
            advertise_addr: advertise.to_string(),
            data_path_addr: data_path,
            raft_id: None,
            managers: Vec::new(),
            removed: None,
        };
        let managers = issued
            .0
            .managers
            .iter()
            .chain(&remotes)
            .map(|addr| (String::new(), addr.clone()));
        saved.managers = managers.collect();
        match self
            .take_place(issued.1, saved, issued.0.role == "manager", remotes)
            .await
        {
            Ok(member) => {
                *self.inner.place.write() = Some(member);
                Ok(())
            }
            Err(error) => {
                self.forget_files().await;
                Err(error.into())
            }
        }
    }

    /// Asks the remotes in turn: first who they are, which the token must confirm, then for a certificate.
    async fn certificate(
        &self,
        token: &Token,
        remotes: &[String],
        availability: &str,
    ) -> Result<(IssueResponse, Issued)> {
        let request = Request::new().map_err(|e| Error::system(e.to_string()))?;
        let description =
            codec::encode(&self.inner.agents.describe().await).map_err(|e| Error::system(e.to_string()))?;
        let mut last = None;
        for remote in remotes {
            let root_pem = match root(remote).await {
                Ok(root_pem) => root_pem,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let digest = Root::digest(&root_pem).map_err(|e| Error::system(e.to_string()))?;
            if !token.is_for(&digest) {
                // No other remote is asked: the user must be told that the token is for another cluster.
                return Err(Error::invalid(format!(
                    "remote CA does not match fingerprint. Expected: {}",
                    token.text().split('-').nth(2).unwrap_or_default()
                )));
            }
            let question = IssueRequest {
                csr_pem: request.csr_pem.clone(),
                token: token.text(),
                description: description.clone().into(),
                availability: availability.to_owned(),
            };
            match issue(remote, &root_pem, question).await {
                Ok(answer) => {
                    let issued = Issued {
                        certificate_pem: answer.certificate_pem.clone(),
                        key_pem: request.key_pem,
                        root_pem: answer.root_pem.clone(),
                    };
                    return Ok((answer, issued));
                }
                Err(error) if error.class == Class::Unavailable => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(error::no_leader))
    }

    async fn take_place(
        &self,
        issued: Issued,
        saved: Saved,
        as_manager: bool,
        remotes: Vec<String>,
    ) -> std::result::Result<Arc<Member>, SwarmError> {
        let parts = &self.inner;
        let home = parts.home.clone();
        blocking(move || home.clear()).await?;
        let files = Files::new(parts.home.certificates());
        let credentials = Credentials::new(&issued)?;
        let member = Member::new(parts, credentials, files.clone(), saved);
        let home = parts.home.clone();
        blocking(move || -> std::result::Result<(), SwarmError> {
            home.create().map_err(|source| SwarmError::File {
                path: home.certificates(),
                source,
            })?;
            Ok(files.save(&issued)?)
        })
        .await?;
        if as_manager {
            let listener = Door::listen(&member.saved().listen_addr).await?;
            let door = Door::open(listener, &member, parts, Role::Manager);
            match place::enter(&member, parts, &door, &remotes).await {
                Ok(consensus) => member.manages(Running::start(&member, door, consensus, parts)),
                Err(error) => {
                    door.close().await;
                    return Err(error);
                }
            }
        } else {
            member.offer_images(parts).await;
        }
        member.save(|_| {}).await?;
        let managers: Vec<ManagerAddr> = member.saved().known_managers();
        member.start_agent(parts, managers).await?;
        if let Some(agent) = member.agent() {
            let mut connected = agent.connected();
            let session = connected.wait_for(|connected| *connected);
            if tokio::time::timeout(SESSION, session).await.is_err() {
                tracing::warn!(
                    "joined, but no manager holds this node's session yet; it is sought in the background"
                );
            }
        }
        member.follow();
        Ok(member)
    }
}

async fn root(remote: &str) -> Result<String> {
    let asked = async {
        let channel = channel::lazy(remote, |addr| async move { connect_unverified(&addr).await })
            .map_err(|e| unreachable(remote, e))?;
        let answer = CaClient::new(channel).root(RootRequest {}).await;
        answer
            .map(|a| a.into_inner().root_pem)
            .map_err(|s| unreachable(remote, cause(&s)))
    };
    match tokio::time::timeout(CALL_TIMEOUT, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable(remote, "it did not answer in time")),
    }
}

async fn issue(remote: &str, root_pem: &str, question: IssueRequest) -> Result<IssueResponse> {
    let credentials = Credentials::joiner(root_pem).map_err(|e| Error::system(e.to_string()))?;
    let channel = channel::lazy(remote, move |addr| {
        let credentials = credentials.clone();
        async move { credentials.connect(&addr).await }
    })
    .map_err(|e| unreachable(remote, e))?;
    let mut client = CaClient::new(channel);
    match tokio::time::timeout(ISSUE_TIMEOUT, client.issue(question)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(error::status(&status)),
        Err(_) => Err(unreachable(remote, "it did not answer in time")),
    }
}

fn unreachable(remote: &str, why: impl std::fmt::Display) -> Error {
    error::rpc(
        Class::Unavailable,
        "Unavailable",
        format!("connection error: desc = \"transport: Error while dialing: dial tcp {remote}: {why}\""),
    )
}

/// The innermost reason, which says more than "transport error".
fn cause(status: &tonic::Status) -> String {
    let mut error: Option<&dyn std::error::Error> = std::error::Error::source(status);
    let mut text = status.message().to_owned();
    while let Some(inner) = error {
        text = inner.to_string();
        error = inner.source();
    }
    text
}
