//! Pulling, loading, saving, importing: work that says how it goes while it goes.

use super::ImagesService;
use crate::error::{Result, not_implemented};
use shoal_api_backend::{BoxStream, Bytes, ImportImage, PullImage};
use shoal_api_types::message::JsonMessage;

impl ImagesService {
    pub(super) async fn pull_stream(&self, _request: PullImage) -> Result<BoxStream<Result<JsonMessage>>> {
        Err(not_implemented("pulling an image is not implemented"))
    }

    pub(super) async fn import_stream(
        &self,
        _request: ImportImage,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        Err(not_implemented("importing an image is not implemented"))
    }

    pub(super) async fn load_stream(
        &self,
        _tar: BoxStream<Result<Bytes>>,
        _quiet: bool,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        Err(not_implemented("loading images is not implemented"))
    }

    pub(super) async fn save_stream(&self, _names: Vec<String>) -> Result<BoxStream<Result<Bytes>>> {
        Err(not_implemented("saving images is not implemented"))
    }
}
