//! Giving an image another name.

use crate::error::Result;
use crate::images::Images;
use crate::lookup::find;
use crate::reference::Reference;
use crate::store::{Lease, Names};

impl Images {
    /// Names what `source` stands for, with all its platforms. The name is taken from the image that had it. Durable
    /// when it returns.
    pub async fn tag(&self, source: &str, name: &Reference) -> Result<()> {
        let (source, name) = (source.to_owned(), name.clone().or_latest());
        let mut lease = Lease::reading(&self.store);
        self.blocking(move |store| {
            let (found, index) = {
                let state = store.state.lock();
                let found = find(&state, &source)?;
                let index = found.index.as_ref().and_then(|index| state.indexes.get(index));
                let index = index.map(|index| index.descriptor.clone());
                (found, index)
            };
            if let Some(index) = &index {
                lease.pin(&index.digest);
            }
            let names = Names {
                names: vec![name],
                index,
            };
            store.name(&found.id, &names).map(drop)
        })
        .await
    }
}
