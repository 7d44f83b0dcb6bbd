//! Pulling, loading, saving, importing: work that says how it goes while it goes. Dropping the stream ends the work.

use super::{ImagesService, changes, error, platform};
use crate::error::{Error, Result, invalid};
use futures_util::{Stream, StreamExt};
use shoal_api_backend::{BoxStream, Bytes, Class, ImportImage, PullImage, Upload};
use shoal_api_types::auth::AuthConfig;
use shoal_api_types::image::OciPlatform;
use shoal_api_types::message::{JsonMessage, ProgressDetail};
use shoal_node_drivers_images::{self as driver, Progress, Reference, Sink};
use std::future::Future;
use std::io;
use tokio::sync::mpsc;

/// Lines between the work and the client.
const LINES_MAX: usize = 64;

impl ImagesService {
    pub(super) async fn import_stream(&self, request: ImportImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let name = match (request.repo.as_str(), request.tag.as_str()) {
            ("", _) => None,
            (repo, "") => Some(Reference::parse(repo).map_err(error)?.or_latest()),
            (repo, tag) => Some(Reference::parse(&format!("{repo}:{tag}")).map_err(error)?),
        };
        // What is wrong with the changes is said before anything is read.
        changes::apply(&mut Default::default(), &request.changes)?;
        let platform = request.platform.map(platform);
        let platform = platform.filter(|p| !p.os.is_empty() || !p.architecture.is_empty());
        let remote = match request.source.as_str() {
            "-" => None,
            url => Some(self.store.remote(url).await.map_err(error)?),
        };
        let this = self.clone();
        Ok(progress(move |sink| async move {
            let message = match (&remote, request.message.as_str()) {
                (Some(remote), "") => format!("Imported from {}", remote.url),
                (_, message) => message.to_owned(),
            };
            let source = match remote {
                None => pieces(request.body).boxed(),
                Some(remote) => {
                    sink.status("", format!("Downloading from {}", remote.url)).await;
                    remote.stream(sink.clone()).boxed()
                }
            };
            let list = request.changes;
            let configure = move |config: &mut driver::ImageConfig| {
                changes::apply(config, &list).map_err(|e| driver::Error::InvalidParameter(e.message))
            };
            let id = this
                .store
                .import(source, name.as_ref(), configure, &message, platform, &sink)
                .await?;
            this.emit("import", &id, &id);
            Ok(())
        }))
    }

    pub(super) async fn load_stream(
        &self,
        tar: Upload,
        quiet: bool,
        platforms: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        let platforms = platforms.into_iter().map(platform).collect();
        let this = self.clone();
        let (source, wanted_from) = (pieces(tar.pieces), tar.wanted_from);
        Ok(progress(move |sink| async move {
            for id in this
                .store
                .load(source, wanted_from, quiet, platforms, &sink)
                .await?
            {
                this.emit("load", &id, &id);
            }
            Ok(())
        }))
    }

    pub(super) async fn save_stream(
        &self,
        names: Vec<String>,
        platforms: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<Bytes>>> {
        if names.is_empty() {
            return Err(invalid("at least one image must be named"));
        }
        let platforms: Vec<_> = platforms.into_iter().map(platform).collect();
        let tar = self.store.save(&names, &platforms).map_err(error)?;
        for name in &names {
            if let Ok(image) = self.find(name) {
                self.emit("save", &image.id, &image.id);
            }
        }
        Ok(Box::pin(tar.map(|piece| {
            piece.map_err(|e| crate::error::system(e.to_string()))
        })))
    }

    pub(super) async fn pull_stream(&self, request: PullImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let name = Reference::parse(&request.name).map_err(error)?;
        if name.familiar_name() == "scratch" {
            return Err(Error::new(Class::Forbidden, "'scratch' is a reserved name"));
        }
        let name = match request.tag.as_str() {
            "" => name,
            digest if digest.contains(':') => name.with_digest(driver::Digest::parse(digest).map_err(error)?),
            tag => name.with_tag(tag).map_err(error)?,
        };
        let platform = request.platform.map(platform);
        let all = request.all_tags && name.tag().is_none() && name.digest().is_none();
        let (this, auth) = (self.clone(), request.auth);
        Ok(progress(move |sink| async move {
            let names = if all {
                this.store.pull_all(&name, platform, auth, &sink).await?
            } else {
                this.store.pull(&name, platform, auth, &sink).await?;
                vec![name.or_latest()]
            };
            for name in names {
                let familiar = name.familiar();
                this.emit("pull", &familiar, &familiar);
            }
            Ok(())
        }))
    }
}

impl ImagesService {
    pub(super) async fn push_stream(
        &self,
        name: &str,
        tag: &str,
        wanted: Option<OciPlatform>,
        auth: Option<AuthConfig>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        let name = Reference::parse(name).map_err(error)?;
        let name = match tag {
            "" => name,
            tag => name.with_tag(tag).map_err(error)?,
        };
        let (this, wanted) = (self.clone(), wanted.map(platform));
        Ok(progress(move |sink| async move {
            for pushed in this.store.push(&name, wanted, auth, &sink).await? {
                this.emit("push", &pushed, &pushed);
            }
            Ok(())
        }))
    }
}

fn pieces(body: BoxStream<Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
    body.map(|piece| piece.map_err(io::Error::other))
}

/// Runs work that reports to a sink; its error is the stream's last item.
fn progress<F>(work: impl FnOnce(Sink) -> F) -> BoxStream<Result<JsonMessage>>
where
    F: Future<Output = driver::Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel::<Progress>(LINES_MAX);
    let mut work = Box::pin(work(Sink::new(sender)));
    let mut receiver = Some(receiver);
    let mut ended = None;
    Box::pin(futures_util::stream::poll_fn(move |cx| {
        use std::task::Poll;
        let Some(lines) = receiver.as_mut() else {
            return Poll::Ready(None);
        };
        if ended.is_none()
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            ended = Some(result);
        }
        match lines.poll_recv(cx) {
            Poll::Ready(Some(line)) => return Poll::Ready(Some(Ok(message(line)))),
            Poll::Ready(None) => {}
            // The work is over, and what it said is read: its sender may still be alive inside it.
            Poll::Pending if ended.is_some() => {}
            Poll::Pending => return Poll::Pending,
        }
        if ended.is_none() {
            return Poll::Pending;
        }
        receiver = None;
        match ended.take() {
            Some(Err(e)) => Poll::Ready(Some(Err(error(e)))),
            _ => Poll::Ready(None),
        }
    }))
}

fn message(line: Progress) -> JsonMessage {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let detail = match (line.current, line.total) {
        (None, None) => None,
        (current, total) => Some(ProgressDetail {
            current: current.map_or(0, signed),
            total: total.map_or(0, signed),
            ..ProgressDetail::default()
        }),
    };
    let shown = detail.as_ref().map(bar).unwrap_or_default();
    JsonMessage {
        id: line.id,
        status: line.status,
        stream: line.stream,
        progress_detail: detail,
        progress: shown,
        aux: line.aux,
        ..JsonMessage::default()
    }
}

/// The line that old clients print: `[====>      ]  1.2MB/3.4MB`.
fn bar(detail: &ProgressDetail) -> String {
    const WIDTH: i64 = 50;
    let size = |n: i64| {
        let mut value = n as f64;
        let mut unit = "B";
        for next in ["kB", "MB", "GB", "TB"] {
            if value < 1000.0 {
                break;
            }
            value /= 1000.0;
            unit = next;
        }
        let text = format!("{value:.4}");
        let text = text
            .get(..5)
            .unwrap_or(&text)
            .trim_end_matches('0')
            .trim_end_matches('.');
        format!("{text}{unit}")
    };
    if detail.total <= 0 {
        return size(detail.current);
    }
    let done = (detail.current.clamp(0, detail.total) * WIDTH / detail.total) as usize;
    let rest = WIDTH as usize - done;
    let arrow = if rest > 0 { ">" } else { "" };
    let line = format!(
        "[{}{arrow}{}]",
        "=".repeat(done),
        " ".repeat(rest.saturating_sub(arrow.len()))
    );
    format!("{line} {:>7}/{}", size(detail.current), size(detail.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill() {
        let at = |current, total| {
            bar(&ProgressDetail {
                current,
                total,
                ..ProgressDetail::default()
            })
        };
        assert!(at(0, 100).starts_with("[>  "));
        assert!(at(100, 100).starts_with(&format!("[{}]", "=".repeat(50))));
        assert_eq!(at(1500, 0), "1.5kB");
    }
}
