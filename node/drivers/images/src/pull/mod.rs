//! From a registry's repository to a named image here.

pub(crate) mod download;
mod resolve;

use std::sync::Arc;
use std::time::Duration;

use shoal_api_types::auth::AuthConfig;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::{Fetch, Report};
use crate::manifest::Descriptor;
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;
use crate::registry::{Access, Session};
use crate::store::{Growing, Lease, Names};

use download::Download;
use resolve::Resolved;

/// Statements about an image are text. What is larger is not fetched with it.
const ATTESTATION_MAX: u64 = 64 << 20;

impl Images {
    /// Pulls an image for `platform` (this machine's by default) and gives it the name that it was asked by. What
    /// other platforms' images came under the same name, from the same index, stay beside it.
    /// Durable when it returns. Dropping the future stops it and leaves nothing behind.
    pub async fn pull(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<()> {
        let name = name.clone().or_latest();
        let new = self.pull_one(&name, platform, auth, sink).await?;
        said(&name, new, sink).await;
        Ok(())
    }

    /// Pulls every tag of a repository. Returns their names.
    pub async fn pull_all(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<Vec<Reference>> {
        let (registries, ways) = self.ways();
        let session = Session::open(name, Access::Pull, auth.clone(), &registries, &ways).await?;
        let mut pulled = Vec::new();
        let mut new = false;
        for tag in session.tags().await? {
            let tagged = name.with_tag(&tag)?;
            new |= self
                .pull_one(&tagged, platform.clone(), auth.clone(), sink)
                .await?;
            pulled.push(tagged);
        }
        said(name, new, sink).await;
        Ok(pulled)
    }

    /// Whether it was not there before.
    async fn pull_one(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<bool> {
        let which = name
            .digest()
            .map_or(name.tag().unwrap_or_default(), Digest::as_str)
            .to_owned();
        let mut lease = Lease::building(&self.store);
        let source = self.source(name, &which, platform, auth, &mut lease).await?;
        sink.status(&which, format!("Pulling from {}", name.path())).await;
        let (session, found) = match source {
            Source::Found(session, found) => (session, found),
            Source::Current(digest) => {
                lease.done();
                sink.status("", format!("Digest: {digest}")).await;
                return Ok(false);
            }
        };
        let Resolved {
            image,
            digest,
            index,
            attestations,
        } = found;

        let id = image.id.clone();
        for layer in &image.layers {
            self.store.known.set_place(&layer.digest, &name.repository());
        }
        let fetch = Arc::new(Download {
            images: self.clone(),
            session: Arc::new(session),
            sink: sink.clone(),
        });
        for listed in attestations {
            // The image is worth having without what is said of it.
            if let Err(error) = self.attest(&fetch, &listed, &mut lease).await {
                tracing::warn!("statements {} about {} stay away: {error}", listed.digest, name);
            }
        }
        let names = Names {
            names: names(name, &digest)?,
            index,
        };
        let given = names.clone();
        let present = self.blocking(move |store| {
            store.known.save();
            if !store.state.lock().images.contains_key(&id) {
                return Ok(false);
            }
            store.sync_blobs()?;
            if store.is_named(&id, &given) {
                // Statements may have come that were not here before.
                let learnt = given.index.as_ref().map(|index| store.learn(index));
                return learnt.transpose().map(|_| true);
            }
            match store.name(&id, &given) {
                // Somebody has just removed it.
                Err(Error::NotFound(_)) => Ok(false),
                other => other.map(|_| true),
            }
        });
        let present = present.await?;
        if !present {
            if let Some(company) = &self.company {
                company.meet(&image).await;
            }
            let report = Report::Pull(sink.clone());
            self.install(&mut lease, image, names, fetch, report).await?;
        }
        lease.done();
        sink.status("", format!("Digest: {digest}")).await;
        Ok(!present)
    }

    /// Brings the statements of one manifest.
    async fn attest(&self, fetch: &Download, listed: &Descriptor, lease: &mut Lease) -> Result<()> {
        let blobs = self.attestation(&fetch.session, listed, lease).await?;
        let size: u64 = blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        if size > ATTESTATION_MAX {
            return Err(Error::Corrupt(format!("{size} bytes are too much")));
        }
        let quiet = fetch.quiet();
        for blob in &blobs {
            quiet.fetch(blob, &Growing::new(blob.size)).await?;
        }
        Ok(())
    }

    /// The first of mirrors and registry that has it.
    async fn source(
        &self,
        name: &Reference,
        which: &str,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        lease: &mut Lease,
    ) -> Result<Source> {
        let (registries, ways) = self.ways();
        let mirrors: &[String] = match name.domain() {
            "docker.io" => &registries.mirrors,
            _ => &[],
        };
        for mirror in mirrors {
            let attempt = async {
                let session = Session::mirror(name, mirror, &registries, &ways).await?;
                self.found(session, name, which, platform.clone(), lease).await
            };
            match attempt.await {
                Ok(found) => return Ok(found),
                Err(error) => tracing::warn!(mirror, %error, "a mirror does not give an image"),
            }
        }
        if let Some(session) = Session::again(name, Access::Pull, auth.clone(), &registries, &ways).await? {
            match self.found(session, name, which, platform.clone(), lease).await {
                Ok(found) => return Ok(found),
                // It may be another by now, or speak in another way.
                Err(error) => tracing::debug!(%error, "a registry is asked anew what it is"),
            }
            ways.forget(name.domain());
        }
        let session = Session::open(name, Access::Pull, auth, &registries, &ways).await?;
        self.found(session, name, which, platform, lease).await
    }

    /// What one registry has.
    async fn found(
        &self,
        session: Session,
        name: &Reference,
        which: &str,
        platform: Option<Platform>,
        lease: &mut Lease,
    ) -> Result<Source> {
        let known = self.store.state.lock().stands_for(name).is_some();
        let said = match known {
            true => session.digest_of(which).await,
            false => None,
        };
        if let Some(digest) = &said
            && self
                .store
                .is_current(&names(name, digest)?, digest, platform.as_ref())
        {
            return Ok(Source::Current(digest.clone()));
        }
        let found = self.resolve(&session, name, which, platform, said.as_ref(), lease);
        let found = found.await?;
        Ok(Source::Found(session, found))
    }
}

/// What there is to do.
enum Source {
    Found(Session, Resolved),
    /// Nothing: the name stands for this, as it does here, and all of it is here.
    Current(Digest),
}

/// Those that an image gets that was pulled by a name.
fn names(name: &Reference, digest: &Digest) -> Result<Vec<Reference>> {
    let mut names = vec![name.with_digest(digest.clone())];
    if let (None, Some(tag)) = (name.digest(), name.tag()) {
        names.push(name.with_tag(tag)?);
    }
    Ok(names)
}

async fn said(name: &Reference, new: bool, sink: &Sink) {
    let what = if new {
        "Downloaded newer image"
    } else {
        "Image is up to date"
    };
    sink.status("", format!("Status: {what} for {}", name.familiar()))
        .await;
}

pub(crate) fn seconds(delay: Duration) -> String {
    match delay.as_secs() {
        1 => "1 second".to_owned(),
        n => format!("{n} seconds"),
    }
}
