//! What a long operation says while it works, in Docker's texts.

use tokio::sync::mpsc;

/// One line of a progress stream. Empty members are left out when it is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The layer (12 digits) or tag it is about.
    pub id: String,
    /// `Pulling fs layer`, `Downloading`, `Status: …`
    pub status: String,
    /// Plain text instead of a status: `Loaded image: busybox:latest\n`.
    pub stream: String,
    /// Bytes done and, when known, of how many.
    pub current: Option<u64>,
    pub total: Option<u64>,
    pub aux: Option<serde_json::Value>,
}

/// Where progress goes. A receiver that is gone does not stop the work.
#[derive(Debug, Clone)]
pub struct Sink(Option<mpsc::Sender<Progress>>);

impl Sink {
    pub fn new(to: mpsc::Sender<Progress>) -> Sink {
        Sink(Some(to))
    }

    /// For callers that do not want to know.
    pub fn none() -> Sink {
        Sink(None)
    }

    pub async fn status(&self, id: &str, status: impl Into<String>) {
        self.send(Progress {
            id: id.to_owned(),
            status: status.into(),
            ..Progress::default()
        })
        .await;
    }

    pub(crate) async fn stream(&self, text: impl Into<String>) {
        self.send(Progress {
            stream: text.into(),
            ..Progress::default()
        })
        .await;
    }

    pub(crate) async fn aux(&self, value: serde_json::Value) {
        self.send(Progress {
            aux: Some(value),
            ..Progress::default()
        })
        .await;
    }

    async fn send(&self, progress: Progress) {
        if let Some(to) = &self.0 {
            let _ = to.send(progress).await;
        }
    }

    /// Counts are only sent if there is room: a slow reader misses some and slows nothing down.
    pub(crate) fn count(&self, id: &str, status: &str, current: u64, total: Option<u64>) {
        if let Some(to) = &self.0 {
            let _ = to.try_send(Progress {
                id: id.to_owned(),
                status: status.to_owned(),
                current: Some(current),
                total,
                ..Progress::default()
            });
        }
    }
}
