//! Images.

use super::*;

/// The offset before which a load has no use for a body that begins with `pass`.
pub const WANTED_FROM: u64 = 12_345_678;

#[async_trait]
impl Images for Fake {
    async fn list(&self, _: ListImages) -> Result<Vec<ImageSummary>> {
        Ok(vec![ImageSummary {
            id: "sha256:aa".into(),
            size: 5,
            containers: 2,
            ..Default::default()
        }])
    }
    async fn inspect(&self, name: &str, _: Option<OciPlatform>, _: bool) -> Result<ImageInspect> {
        match name {
            "golden" => Ok(decode_value(golden("image_inspect_v1.51")).unwrap()),
            "reg:5000/a/b" => Ok(ImageInspect {
                id: name.into(),
                ..Default::default()
            }),
            _ => Err(Error::not_found(format!("No such image: {name}:latest"))),
        }
    }
    async fn history(&self, _: &str, _: Option<OciPlatform>) -> Result<Vec<HistoryItem>> {
        Ok(Vec::new())
    }
    async fn pull(&self, request: PullImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let name = request.name.clone();
        self.0.pulled.lock().unwrap().push(request);
        match name.as_str() {
            "refused" => Ok(Box::pin(stream::iter([Err(Error::not_found(
                "pull access denied for refused",
            ))]))),
            "broken" => Ok(Box::pin(stream::iter([
                Ok(JsonMessage::with_id("x", "Downloading")),
                Err(Error::system("unexpected EOF")),
            ]))),
            "slow" => {
                let first = stream::iter([Ok(JsonMessage::status("Pulling"))]);
                Ok(Box::pin(first.chain(stream::pending())))
            }
            "::" => Err(Error::invalid("invalid reference format")),
            _ => Ok(Box::pin(stream::iter([Ok(JsonMessage::status(
                "Status: Downloaded newer image",
            ))]))),
        }
    }
    async fn import(&self, mut request: ImportImage) -> Result<BoxStream<Result<JsonMessage>>> {
        let mut count = 0;
        while let Some(chunk) = request.body.next().await {
            count += chunk?.len();
        }
        Ok(Box::pin(stream::iter([Ok(JsonMessage::status(format!(
            "{count} bytes"
        )))])))
    }
    async fn load(
        &self,
        mut tar: Upload,
        _: bool,
        _: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        let mut count = 0;
        while let Some(chunk) = tar.pieces.next().await {
            let chunk = chunk?;
            if chunk.starts_with(b"refuse") {
                return Err(Error::invalid("refused"));
            }
            if chunk.starts_with(b"pass") {
                tar.wanted_from.store(WANTED_FROM, Ordering::Relaxed);
            }
            count += chunk.len();
            self.0.uploaded.lock().unwrap().extend_from_slice(&chunk);
        }
        Ok(Box::pin(stream::iter([Ok(JsonMessage {
            stream: format!("{count} bytes"),
            ..Default::default()
        })])))
    }
    async fn save(&self, _: Vec<String>, _: Vec<OciPlatform>) -> Result<BoxStream<Result<Bytes>>> {
        Ok(Box::pin(stream::iter([Ok("tar".into())])))
    }
    async fn tag(&self, _: &str, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    async fn remove(&self, name: &str, _: RemoveImage) -> Result<Vec<ImageDeleteItem>> {
        Ok(vec![ImageDeleteItem {
            untagged: name.into(),
            ..Default::default()
        }])
    }
    async fn prune(&self, _: Filters) -> Result<ImagePruneReport> {
        Ok(ImagePruneReport::default())
    }
}
