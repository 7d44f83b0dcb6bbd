//! Giving an image another name.

use crate::error::Result;
use crate::images::Images;
use crate::lookup::find;
use crate::reference::Reference;

impl Images {
    /// Names the image `source`. The name is taken from the image that had it. Durable when it returns.
    pub async fn tag(&self, source: &str, name: &Reference) -> Result<()> {
        let (source, name) = (source.to_owned(), name.clone().or_latest());
        self.blocking(move |store| {
            let id = find(&store.state.lock(), &source)?;
            store.name(&id, &[name]).map(drop)
        })
        .await
    }
}
