//! `docker export`.

use super::place::{Place, Show};
use super::{error, pipe};
use crate::containers::{Containers, attributes};
use crate::error::Result;
use shoal_api_backend::{BoxStream, Bytes};
use shoal_node_drivers_archive as driver;

impl Containers {
    pub async fn export(&self, reference: &str) -> Result<BoxStream<Result<Bytes>>> {
        let place = Place::open(&self.kit, &self.kit.registry.get(reference)?, Show::RootOnly).await?;
        let record = place.record.clone();
        let (writer, stream) = pipe::writer(place.ending());
        let fail = writer.breaker();
        drop(pipe::thread(move || {
            let done = driver::export(place.root(), place.shift(), writer);
            drop(place);
            if let Err(e) = done {
                fail(error(e, "/", ""));
            }
            Ok(())
        })?);
        self.kit
            .events
            .publish("container", "export", &record.id, attributes(&record));
        Ok(stream)
    }
}
