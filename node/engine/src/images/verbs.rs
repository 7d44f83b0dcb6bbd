//! What is asked of images.

use super::manifests::target;
use super::sieve::{by_reference, excluded};
use super::{ImagesService, error, find_for};
use crate::clock;
use crate::containers::View;
use crate::error::{Result, invalid};
use async_trait::async_trait;
use shoal_api_backend as api;
use shoal_api_backend::{BoxStream, Bytes, ImportImage, ListImages, PullImage, RemoveImage, Upload};
use shoal_api_types::auth::AuthConfig;
use shoal_api_types::container::DriverData;
use shoal_api_types::image::*;
use shoal_api_types::message::JsonMessage;
use shoal_api_types::{Dict, Filters, Slice, Timestamp};
use shoal_node_drivers_images::{Deleted, Image, InUse, Reference};
use std::path::Path;

const FILTERS: [&str; 7] = [
    "before",
    "dangling",
    "label",
    "label!",
    "reference",
    "since",
    "until",
];

impl ImagesService {
    /// Which containers use which images.
    pub(super) fn in_use(&self) -> Vec<InUse> {
        let user = |view: &View, image: &str| InUse {
            container: view.record.id.clone(),
            image: image.into(),
            running: view.phase().counts_as_running(),
        };
        // Its own image, and those that it has mounted.
        let all = |view: &View| {
            let mounted = view.record.mounts.iter().map(|m| m.image.as_str());
            let images = mounted
                .filter(|i| !i.is_empty())
                .chain([view.record.image_id.as_str()]);
            images.map(|image| user(view, image)).collect::<Vec<_>>()
        };
        self.registry
            .all()
            .iter()
            .map(|h| h.view())
            .filter(|v| !v.gone)
            .flat_map(|v| all(&v))
            .collect()
    }

    /// `shared` has the bytes counted that others have too; `manifests` has each platform told.
    pub(crate) fn summaries(
        &self,
        filters: &Filters,
        shared: bool,
        manifests: bool,
    ) -> Result<Vec<ImageSummary>> {
        if let Some(key) = filters.unknown_key(&FILTERS) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let bad = |v: String| invalid(format!("invalid filter 'dangling=[{v}]'"));
        let dangling = filters.get_bool("dangling").map_err(bad)?;
        let created = |key: &str| -> Result<Option<i128>> {
            let named = filters.get(key).next();
            named
                .map(|name| self.find(name).map(|i| i.created_nanos))
                .transpose()
        };
        let (before, since) = (created("before")?, created("since")?);
        let until = crate::containers::until(filters)?.map(|t| i128::from(t.0));
        let in_use = self.in_use();
        let mut out = Vec::new();
        for image in self.store.list() {
            let label = |key: &str| image.config.config.labels.get(key).map(String::as_str);
            let untagged = image.repo_tags.is_empty();
            let passes = dangling.is_none_or(|d| d == untagged)
                && before.is_none_or(|t| image.created_nanos < t)
                && since.is_none_or(|t| image.created_nanos > t)
                && until.is_none_or(|t| image.created_nanos < t)
                && filters.matches_labels("label", label)
                && !excluded(filters, label);
            let tags = by_reference(&image.repo_tags, filters);
            let digests = by_reference(&image.repo_digests, filters);
            if !passes || (filters.contains("reference") && tags.is_empty() && digests.is_empty()) {
                continue;
            }
            let platforms = self.store.platforms(&image);
            let containers = in_use.iter().filter(|u| platforms.contains(&u.image)).count();
            out.push(ImageSummary {
                containers: i64::try_from(containers).unwrap_or(i64::MAX),
                created: image.created_unix,
                id: image.id.clone(),
                parent_id: image.parent.clone().unwrap_or_default(),
                labels: image.config.config.labels.clone(),
                repo_digests: digests,
                repo_tags: tags,
                shared_size: if shared {
                    signed(self.store.shared_size(&platforms))
                } else {
                    -1
                },
                size: signed(self.store.unpacked_size(&platforms)),
                descriptor: Some(target(&image)),
                manifests: if manifests {
                    self.manifests(&image, &in_use).into()
                } else {
                    Slice::nil()
                },
                ..ImageSummary::default()
            });
        }
        Ok(out)
    }

    pub(crate) fn store(&self) -> &super::Store {
        &self.store
    }
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn describe(image: &Image) -> ImageInspect {
    let file = &image.config;
    let text = |p: &Path| p.to_string_lossy().into_owned();
    let mut data = Dict::new();
    if let Some((top, rest)) = image.lower.split_first() {
        data.insert("UpperDir", text(top));
        if !rest.is_empty() {
            data.insert(
                "LowerDir",
                rest.iter().map(|p| text(p)).collect::<Vec<_>>().join(":"),
            );
        }
    }
    let time = |text: &str| text.parse::<Timestamp>().ok();
    ImageInspect {
        id: image.id.clone(),
        parent: image.parent.clone().unwrap_or_default(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        comment: file.comment().to_owned(),
        created: time(&image.created),
        docker_version: file.docker_version.clone(),
        container: file.container.clone(),
        container_config: file.container_config.clone(),
        author: file.author.clone(),
        config: Some(file.config.clone()),
        architecture: image.architecture.clone(),
        variant: image.variant.clone(),
        os: image.os.clone(),
        os_version: file.os_version.clone(),
        size: signed(image.size),
        virtual_size: signed(image.size),
        graph_driver: Some(DriverData {
            data,
            name: crate::system::STORAGE_DRIVER.into(),
        }),
        root_fs: RootFs {
            kind: "layers".into(),
            layers: file
                .rootfs
                .diff_ids
                .iter()
                .map(|d| d.as_str().to_string())
                .collect(),
        },
        metadata: ImageMetadata {
            last_tag_time: image.last_tagged.as_deref().and_then(time).unwrap_or_default(),
        },
        descriptor: Some(target(image)),
        ..ImageInspect::default()
    }
}

#[async_trait]
impl api::Images for ImagesService {
    async fn list(&self, options: ListImages) -> Result<Vec<ImageSummary>> {
        self.summaries(&options.filters, options.shared_size, options.manifests)
    }

    async fn inspect(
        &self,
        name: &str,
        platform: Option<OciPlatform>,
        manifests: bool,
    ) -> Result<ImageInspect> {
        let image = find_for(&self.store, name, platform.as_ref())?;
        let mut shown = describe(&image);
        if manifests {
            shown.manifests = self.manifests(&image, &self.in_use()).into();
        }
        Ok(shown)
    }

    async fn attestations(
        &self,
        name: &str,
        options: api::ListAttestations,
    ) -> Result<Vec<AttestationStatement>> {
        self.statements(name, options).await
    }

    async fn history(&self, name: &str, platform: Option<OciPlatform>) -> Result<Vec<HistoryItem>> {
        let platform = platform.map(super::platform);
        let steps = self.store.history(name, platform.as_ref()).map_err(error)?;
        Ok(steps
            .into_iter()
            .map(|step| HistoryItem {
                comment: step.comment,
                created: step.created,
                created_by: step.created_by,
                id: step.id,
                size: signed(step.size),
                tags: if step.tags.is_empty() {
                    Slice::nil()
                } else {
                    step.tags.into()
                },
            })
            .collect())
    }

    async fn pull(&self, request: PullImage) -> Result<BoxStream<Result<JsonMessage>>> {
        self.pull_stream(request).await
    }

    async fn import(&self, request: ImportImage) -> Result<BoxStream<Result<JsonMessage>>> {
        self.import_stream(request).await
    }

    async fn load(
        &self,
        tar: Upload,
        quiet: bool,
        platforms: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        self.load_stream(tar, quiet, platforms).await
    }

    async fn save(
        &self,
        names: Vec<String>,
        platforms: Vec<OciPlatform>,
    ) -> Result<BoxStream<Result<Bytes>>> {
        self.save_stream(names, platforms).await
    }

    async fn push(
        &self,
        name: &str,
        tag: &str,
        platform: Option<OciPlatform>,
        auth: Option<AuthConfig>,
    ) -> Result<BoxStream<Result<JsonMessage>>> {
        self.push_stream(name, tag, platform, auth).await
    }

    async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        auth: Option<AuthConfig>,
    ) -> Result<Vec<SearchResult>> {
        self.look_for(term, limit, filters, auth).await
    }

    async fn distribution(&self, name: &str, auth: Option<AuthConfig>) -> Result<DistributionInspect> {
        self.ask_registry(name, auth).await
    }

    async fn tag(&self, name: &str, repo: &str, tag: &str) -> Result<()> {
        let mut target = Reference::parse(repo).map_err(error)?;
        if target.digest().is_some() {
            return Err(invalid("refusing to create a tag with a digest reference"));
        }
        if !tag.is_empty() {
            target = target.with_tag(tag).map_err(error)?;
        }
        let image = self.find(name)?;
        self.store.tag(name, &target).await.map_err(error)?;
        self.emit("tag", &image.id, &target.or_latest().familiar());
        Ok(())
    }

    async fn remove(&self, name: &str, options: RemoveImage) -> Result<Vec<ImageDeleteItem>> {
        let image = self.find(name)?;
        let images = self.store.platforms(&image);
        let (force, in_use) = (options.force, self.in_use());
        let deleted = match options.platforms.is_empty() {
            true => self.store.remove(name, force, options.no_prune, &in_use).await,
            false => {
                let platforms = options.platforms.into_iter().map(super::platform).collect();
                self.store.remove_platforms(name, platforms, force, &in_use).await
            }
        };
        let deleted = deleted.map_err(error)?;
        Ok(deleted
            .into_iter()
            .map(|d| self.told(d, &image.id, &images, None))
            .collect())
    }

    async fn prune(&self, filters: Filters) -> Result<ImagePruneReport> {
        if let Some(key) = filters.unknown_key(&["dangling", "label", "label!", "until"]) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let bad = |v: String| invalid(format!("invalid filter 'dangling=[{v}]'"));
        let only_untagged = filters.get_bool("dangling").map_err(bad)?.unwrap_or(true);
        let until = crate::containers::until(&filters)?.unwrap_or_else(clock::now).0 / 1_000_000_000;
        let mut items: Vec<ImageDeleteItem> = Vec::new();
        let before = self.store.layers_size();
        for image in self.store.list() {
            let label = |key: &str| image.config.config.labels.get(key).map(String::as_str);
            let wanted = (image.repo_tags.is_empty() || !only_untagged) && image.created_unix <= until;
            let in_use = self.in_use();
            let platforms = self.store.platforms(&image);
            if !wanted
                || excluded(&filters, label)
                || !filters.matches_labels("label", label)
                || in_use.iter().any(|u| platforms.contains(&u.image))
            {
                continue;
            }
            // By id and with force: every name of it goes.
            if let Ok(deleted) = self.store.remove(&image.id, true, false, &in_use).await {
                items.extend(
                    deleted
                        .into_iter()
                        .map(|d| self.told(d, &image.id, &platforms, None)),
                );
            }
        }
        let space_reclaimed = before.saturating_sub(self.store.layers_size());
        self.events.pruned("image", space_reclaimed);
        let images_deleted = if items.is_empty() {
            Slice::nil()
        } else {
            items.into()
        };
        Ok(ImagePruneReport {
            images_deleted,
            space_reclaimed,
        })
    }
}

impl ImagesService {
    /// Says what a removal did, as an event and as a line of the answer.
    /// `images` are those for all platforms. What went without being asked to has a reason.
    pub(super) fn told(
        &self,
        deleted: Deleted,
        id: &str,
        images: &[String],
        reason: Option<&str>,
    ) -> ImageDeleteItem {
        match deleted {
            Deleted::Untagged(name) => {
                self.emit_why("untag", id, id, reason);
                ImageDeleteItem {
                    untagged: name,
                    ..ImageDeleteItem::default()
                }
            }
            Deleted::Deleted(digest) => {
                if images.contains(&digest) {
                    self.emit_why("delete", &digest, &digest, reason);
                }
                ImageDeleteItem {
                    deleted: digest,
                    ..ImageDeleteItem::default()
                }
            }
        }
    }
}
