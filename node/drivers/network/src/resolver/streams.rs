//! Questions over TCP: each behind its length.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use shoal_node_core_host::dns::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Client, forward};

/// Connections of one container at a time.
const CONNECTIONS_MAX: usize = 64;
const IDLE: Duration = Duration::from_secs(10);

pub(super) async fn serve(listener: TcpListener, client: Arc<Client>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // They end with this.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let client = client.clone();
                connections.spawn(async move {
                    let _ = talk(stream, &client).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn talk(mut stream: TcpStream, client: &Client) -> std::io::Result<()> {
    loop {
        let message = tokio::time::timeout(IDLE, read(&mut stream)).await??;
        let reply = match client.names.answer(&message, true) {
            Answer::Reply(reply) => reply,
            Answer::Forward => forward::ask(client, &message, true).await,
            Answer::Nothing => return Ok(()),
        };
        tokio::time::timeout(IDLE, write(&mut stream, &reply)).await??;
    }
}

pub(super) async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub(super) async fn write(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
    let mut whole = Vec::with_capacity(message.len() + 2);
    whole.extend_from_slice(&length.to_be_bytes());
    whole.extend_from_slice(message);
    stream.write_all(&whole).await
}
