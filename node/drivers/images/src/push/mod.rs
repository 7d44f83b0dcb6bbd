//! From a named image here to a registry's repository.
//!
//! What came from a registry goes as it came, digest by digest. What was made here is packed on the way, once: the
//! next push knows what came of it and asks the registry first.

mod blob;
mod pack;
mod plan;

use std::sync::Arc;

use serde_json::json;
use shoal_api_types::auth::AuthConfig;
use tokio::task::JoinSet;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::manifest_of;
use crate::manifest::{Descriptor, OCI_MANIFEST, docker_manifest_of};
use crate::platform::Platform;
use crate::progress::Sink;
use crate::reference::Reference;
use crate::registry::{Access, Session};
use crate::store::{Lease, Names};

use blob::Upload;
use plan::{Plan, Text};

const NO_CREDENTIALS: &str = "no basic auth credentials";

impl Images {
    /// Pushes an image under the name that it has here; without a tag, all tags of that repository. Returns the names
    /// that were pushed.
    pub async fn push(
        &self,
        name: &Reference,
        platform: Option<Platform>,
        auth: Option<AuthConfig>,
        sink: &Sink,
    ) -> Result<Vec<String>> {
        let repository = name.repository();
        sink.status("", format!("The push refers to repository [{repository}]"))
            .await;
        let names = self.to_push(name)?;
        let (registries, ways) = self.ways();
        let session = Session::open(name, Access::Push, auth, &registries, &ways).await;
        let session = Arc::new(session.map_err(|error| match error {
            // Here Docker does not say what it asked.
            Error::Refused(text) if text.ends_with(NO_CREDENTIALS) => {
                Error::Refused(NO_CREDENTIALS.to_owned())
            }
            other => other,
        })?);
        let mut pushed = Vec::with_capacity(names.len());
        for name in names {
            self.push_one(&session, &name, platform.as_ref(), sink).await?;
            pushed.push(name.familiar());
        }
        Ok(pushed)
    }

    fn to_push(&self, name: &Reference) -> Result<Vec<Reference>> {
        let state = self.store.state.lock();
        if name.digest().is_some() {
            return Err(Error::InvalidParameter(
                "cannot push a digest reference".to_owned(),
            ));
        }
        let tags = state.references.tags.keys();
        let all: Vec<_> = tags
            .filter_map(|tag| Reference::parse(tag).ok())
            .filter(|tag| tag.repository() == name.repository())
            .collect();
        if all.is_empty() {
            return Err(Error::NotFound(format!(
                "An image does not exist locally with the tag: {}",
                name.familiar_name()
            )));
        }
        match name.tag() {
            Some(_) if all.contains(name) => Ok(vec![name.clone()]),
            Some(tag) => Err(Error::NotFound(format!(
                "tag does not exist: {}:{tag}",
                name.familiar_name()
            ))),
            None => Ok(all),
        }
    }

    async fn push_one(
        &self,
        session: &Arc<Session>,
        name: &Reference,
        platform: Option<&Platform>,
        sink: &Sink,
    ) -> Result<()> {
        let (wanted, for_platform) = (name.clone(), platform.cloned());
        let mut lease = Lease::reading(&self.store);
        let (plan, lease) = self
            .blocking(move |store| {
                let plan = Plan::make(store, &mut lease, &wanted, for_platform.as_ref())?;
                Ok((plan, lease))
            })
            .await?;
        let plan = self.complete(session, plan, sink).await?;
        for content in plan.contents.iter().filter(|content| !content.silent) {
            sink.status(&content.label, "Preparing").await;
        }
        let mut jobs = JoinSet::new();
        for (at, content) in plan.contents.iter().cloned().enumerate() {
            let upload = Upload {
                images: self.clone(),
                session: session.clone(),
                repository: name.clone(),
                sink: if content.silent {
                    Sink::none()
                } else {
                    sink.clone()
                },
            };
            jobs.spawn(async move { (at, upload.run(content).await) });
        }
        let mut sent: Vec<Option<Descriptor>> = vec![None; plan.contents.len()];
        while let Some(done) = jobs.join_next().await {
            let (at, result) = done.map_err(|e| Error::Unreachable(e.to_string()))?;
            sent[at] = Some(result?);
        }
        let top = match plan.text {
            Text::Ready { documents, top } => {
                for (descriptor, text) in &documents {
                    session
                        .put_manifest(descriptor.digest.as_str(), descriptor, text)
                        .await?;
                }
                let tag = name.tag().unwrap_or_default();
                session.put_manifest(tag, &top.0, &top.1).await?;
                top.0
            }
            Text::Made { id, config } => {
                let layers: Vec<Descriptor> = sent
                    .into_iter()
                    .flatten()
                    .filter(|blob| blob.digest != id)
                    .collect();
                self.push_made(session, name, &id, &config, &layers).await?
            }
        };
        let id = plan.id;
        let names = Names {
            names: vec![name.with_digest(top.digest.clone())],
            index: plan.index,
        };
        self.blocking(move |store| {
            let _lease = lease;
            store.known.save();
            store.name(&id, &names).map(drop)
        })
        .await?;
        let tag = name.tag().unwrap_or_default();
        sink.status("", format!("{tag}: digest: {} size: {}", top.digest, top.size))
            .await;
        sink.aux(json!({"Tag": tag, "Digest": top.digest.as_str(), "Size": top.size}))
            .await;
        Ok(())
    }

    /// A manifest made for what was packed: OCI's, or Docker's for a registry that knows no other.
    async fn push_made(
        &self,
        session: &Session,
        name: &Reference,
        id: &Digest,
        config: &[u8],
        layers: &[Descriptor],
    ) -> Result<Descriptor> {
        let (_, text) = manifest_of(id, config, layers)?;
        let descriptor = Descriptor::new(OCI_MANIFEST, Digest::of(&text), text.len() as u64);
        let tag = name.tag().unwrap_or_default();
        match session.put_manifest(tag, &descriptor, &text).await {
            Ok(()) => Ok(descriptor),
            Err(Error::Refused(why)) => {
                tracing::debug!("the registry of {name} takes no OCI manifest: {why}");
                let (descriptor, text) = docker_manifest_of(id, config, layers)?;
                session.put_manifest(tag, &descriptor, &text).await?;
                Ok(descriptor)
            }
            Err(error) => Err(error),
        }
    }

    /// Settles what becomes of an index some of whose images are not here: the registry may have them; or one image
    /// goes alone.
    async fn complete(&self, session: &Session, plan: Plan, sink: &Sink) -> Result<Plan> {
        let Some(partial) = &plan.partial else {
            return Ok(plan);
        };
        let mut there = true;
        for manifest in &partial.missing {
            there = there && session.has_manifest(manifest).await?;
        }
        if there {
            return Ok(plan);
        }
        let Some(alone) = plan.partial.and_then(|partial| partial.alone) else {
            return Err(Error::Conflict(
                "multiple matching manifests found but no specific platform requested".to_owned(),
            ));
        };
        if let (Text::Ready { top: (index, _), .. }, Text::Ready { top: (chosen, _), .. }) =
            (&plan.text, &alone.text)
        {
            let shown = |d: &Descriptor| json!({"mediaType": d.media_type, "digest": d.digest.as_str(), "size": d.size});
            sink.aux(json!({
                "manifestPushedInsteadOfIndex": true,
                "originalIndex": shown(index),
                "selectedManifest": shown(chosen),
            }))
            .await;
        }
        Ok(*alone)
    }
}
