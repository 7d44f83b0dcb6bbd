//! Copying between our standard streams and a taken-over connection.

use anyhow::{Result, bail};
use shoal_api_client::Duplex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Copies standard input to the stream (if `input`), the stream to standard output and error, until the stream ends.
/// `raw` is a terminal's stream; otherwise Docker's frames say which output each piece belongs to.
pub async fn join(stream: Box<dyn Duplex>, input: bool, raw: bool) -> Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let typing = tokio::spawn(async move {
        if input {
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut write).await;
            // Half-closed: the process sees the end of its input, its output still comes.
            let _ = write.shutdown().await;
        } else {
            // Kept open: some daemons take a closed half for a client that has gone.
            std::future::pending::<()>().await;
        }
    });
    let result = if raw {
        passthrough(read).await
    } else {
        demultiplex(read).await
    };
    typing.abort();
    result
}

async fn passthrough(mut read: impl AsyncRead + Unpin) -> Result<()> {
    let mut out = tokio::io::stdout();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let n = read.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..n]).await?;
        out.flush().await?;
    }
}

/// Splits Docker's frames: one byte of stream number, three zeros, a big-endian length, then that many bytes.
pub async fn demultiplex(mut read: impl AsyncRead + Unpin) -> Result<()> {
    let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
    let mut head = [0; 8];
    let mut buffer = vec![0; 32 << 10];
    loop {
        match read.read_exact(&mut head).await {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                out.flush().await?;
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
        let mut left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        while left > 0 {
            let want = left.min(buffer.len());
            let n = read.read(&mut buffer[..want]).await?;
            if n == 0 {
                bail!("the stream ended in the middle of a frame");
            }
            left -= n;
            match head[0] {
                0 | 1 => out.write_all(&buffer[..n]).await?,
                2 => err.write_all(&buffer[..n]).await?,
                3 => bail!(
                    "error from daemon in stream: {}",
                    String::from_utf8_lossy(&buffer[..n])
                ),
                other => bail!("unrecognized stream: {other}"),
            }
        }
        out.flush().await?;
    }
}
