//! `docker cp`: HEAD, GET and PUT of `/containers/{id}/archive`.

use super::place::{Place, Show};
use super::{error, pipe};
use crate::containers::{Containers, attributes};
use crate::error::{Result, invalid};
use crate::launch::{self, Source};
use shoal_api_backend::{BoxStream, Bytes, PutArchive};
use shoal_api_types::Timestamp;
use shoal_api_types::container::PathStat;
use shoal_node_drivers_archive::{self as driver, ClientPath, Options};

impl Containers {
    pub async fn archive_stat(&self, reference: &str, path: &str) -> Result<PathStat> {
        let (place, path) = (self.place(reference).await?, path.to_owned());
        let reference = reference.to_owned();
        launch::blocking(move || {
            stat(&place, &ClientPath::new(&path)).map_err(|e| error(e, &path, &reference))
        })
        .await
    }

    pub async fn archive_get(
        &self,
        reference: &str,
        path: &str,
    ) -> Result<(PathStat, BoxStream<Result<Bytes>>)> {
        let (place, path) = (self.place(reference).await?, path.to_owned());
        let (reference, record) = (reference.to_owned(), place.record.clone());
        let (place, cleaned, found) = launch::blocking(move || {
            let cleaned = ClientPath::new(&path);
            let found = stat(&place, &cleaned).map_err(|e| error(e, &path, &reference))?;
            Ok((place, cleaned, found))
        })
        .await?;
        let (writer, stream) = pipe::writer(place.ending());
        let fail = writer.breaker();
        // Detached: whoever reads the stream learns how it ends.
        drop(pipe::thread(move || {
            let done = driver::pack(place.root(), &cleaned, place.shift(), writer);
            drop(place);
            if let Err(e) = done {
                fail(error(e, cleaned.as_str(), ""));
            }
            Ok(())
        })?);
        self.kit
            .events
            .publish("container", "archive-path", &record.id, attributes(&record));
        Ok((found, stream))
    }

    pub async fn archive_put(
        &self,
        reference: &str,
        options: PutArchive,
        tar: BoxStream<Result<Bytes>>,
    ) -> Result<()> {
        let place = self.place(reference).await?;
        let record = place.record.clone();
        let (reader, feed) = pipe::reader(tar, place.ending());
        let reference = reference.to_owned();
        let work = pipe::thread(move || {
            let path = ClientPath::new(&options.path);
            let fail = |e| error(e, &options.path, &reference);
            let resolved = driver::directory(place.root(), &path).map_err(fail)?;
            place.writable(&resolved).map_err(invalid)?;
            let owner = match options.copy_uid_gid {
                true => {
                    let root = place.root().try_clone_to_owned();
                    let root = root.map_err(crate::error::io("open", "the root of the container"))?;
                    launch::owner(&place.record, &Source::Root(root))?
                }
                false => None,
            };
            let wish = Options {
                no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
                owner,
                shift: place.shift().clone(),
            };
            driver::unpack(place.root(), &path, reader, wish).map_err(fail)
        })?;
        let (done, ()) = tokio::join!(work, feed);
        done?;
        self.kit
            .events
            .publish("container", "extract-to-dir", &record.id, attributes(&record));
        Ok(())
    }

    pub(super) async fn place(&self, reference: &str) -> Result<Place> {
        Place::open(&self.kit, &self.kit.registry.get(reference)?, Show::All).await
    }
}

fn stat(place: &Place, path: &ClientPath) -> driver::Result<PathStat> {
    let stat = driver::stat(place.root(), path)?;
    Ok(PathStat {
        name: stat.name,
        size: stat.size,
        mode: stat.mode,
        mtime: Timestamp::from_unix(stat.mtime.0, stat.mtime.1),
        link_target: stat.link_target,
    })
}
