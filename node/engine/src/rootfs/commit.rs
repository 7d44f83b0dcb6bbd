//! `docker commit`.

use super::changes::layers;
use crate::containers::{Containers, Record, attributes, fold};
use crate::error::{Result, invalid};
use crate::images::{self, changes};
use shoal_api_backend::CommitContainer;
use shoal_api_types::container::Config;
use shoal_api_types::image::ImageConfig;
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_archive as archive;
use shoal_node_drivers_images::{Child, Error as ImagesError, Reference};
use std::os::fd::AsFd;

impl Containers {
    /// Goes on to its end when the client goes away: nothing stays paused.
    pub async fn commit(&self, request: CommitContainer) -> Result<String> {
        let this = self.clone();
        match tokio::spawn(async move { this.commit_now(request).await }).await {
            Ok(done) => done,
            Err(e) => Err(crate::error::system(format!("a worker ended: {e}"))),
        }
    }

    async fn commit_now(&self, request: CommitContainer) -> Result<String> {
        if request.container.is_empty() {
            return Err(invalid("invalid name or ID supplied: \"\""));
        }
        let handle = self.kit.registry.get(&request.container)?;
        let name = match (request.repo.as_str(), request.tag.as_str()) {
            ("", _) => None,
            (repo, "") => Some(Reference::parse(repo).map_err(images::error)?.or_latest()),
            (repo, tag) => Some(Reference::parse(&format!("{repo}:{tag}")).map_err(images::error)?),
        };
        let record = handle.view().record.clone();
        let mut config = image_config(request.config.clone().unwrap_or_else(|| record.config.clone()));
        changes::apply(&mut config, &request.changes)?;
        let config = image_config(fold(
            Config {
                user: config.user,
                exposed_ports: config.exposed_ports,
                env: config.env,
                entrypoint: config.entrypoint,
                cmd: config.cmd,
                volumes: config.volumes,
                working_dir: config.working_dir,
                labels: config.labels,
                stop_signal: config.stop_signal,
                args_escaped: config.args_escaped,
                healthcheck: config.healthcheck,
                on_build: (!config.on_build.is_nil()).then_some(config.on_build),
                shell: config.shell,
                ..Config::default()
            },
            &image_config(record.config.clone()),
        ));
        let parent = images::find(&self.kit.images, &record.image_id)?;
        // The actor is asked before and after, never while the pass is held: it may be waiting for that itself.
        let running = handle.view().phase() == Phase::Running;
        let pause = request.pause && running && self.pause_to(handle.id(), true).await.is_ok();
        // No start while its layer is read.
        let pass = self.kit.views.enter(handle.id()).await;
        let kit = self.kit.clone();
        let id = handle.id().to_owned();
        let child = Child {
            name: name.clone(),
            author: request.author,
            comment: request.comment.clone(),
            created_by: record.config.cmd.join(" "),
            made_by: crate::SERVER_VERSION.into(),
            config,
        };
        let done = self
            .kit
            .images
            .commit(&parent, child, move |out| {
                let fail = |e: crate::error::Error| ImagesError::Corrupt(e.message);
                let (upper, _) = layers(kit.rootfs(&id).map_err(fail)?).map_err(fail)?;
                let written = archive::layer(upper.as_fd(), out);
                written
                    .map(|(_, any)| any)
                    .map_err(|e| ImagesError::Corrupt(e.to_string()))
            })
            .await;
        drop(pass);
        if let Ok(image) = &done {
            self.told(&record, image, name, request.comment);
        }
        if pause {
            let _ = self.unpause(handle.id()).await;
        }
        done.map_err(images::error)
    }

    fn told(&self, record: &Record, image: &str, name: Option<Reference>, comment: String) {
        let named = name.map(|n| n.or_latest().familiar()).unwrap_or_default();
        if !named.is_empty() {
            let mut attributes = match images::find(&self.kit.images, image) {
                Ok(image) => images::config_of(&image).labels.clone().into_map(),
                Err(_) => Default::default(),
            };
            attributes.insert("name".into(), named.clone());
            self.kit.events.publish("image", "tag", image, attributes);
        }
        let mut attributes = attributes(record);
        attributes.insert("comment".into(), comment);
        attributes.insert("imageID".into(), image.into());
        attributes.insert("imageRef".into(), named);
        self.kit
            .events
            .publish("container", "commit", &record.id, attributes);
    }
}

/// What an image keeps of a container's configuration.
fn image_config(config: Config) -> ImageConfig {
    ImageConfig {
        user: config.user,
        exposed_ports: config.exposed_ports,
        env: config.env,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        volumes: config.volumes,
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: config.stop_signal,
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck,
        on_build: config.on_build.unwrap_or_default(),
        shell: config.shell,
    }
}
