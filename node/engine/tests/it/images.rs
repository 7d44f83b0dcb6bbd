//! Images through the engine: what containers keep from being removed, load and save.

use crate::setup::*;
use futures_util::{StreamExt, stream};
use shoal_api_backend::{Class, Images as _, RemoveImage, Upload};
use shoal_api_types::container::HostConfig;

#[test]
fn an_image_in_use_stays_and_a_saved_one_comes_back() {
    let lab = Lab::new();
    let id = lab
        .create("user", cmd(&["true"]), HostConfig::default())
        .expect("created");
    let used = lab
        .run(async |e| e.images.remove("bb", RemoveImage::default()).await)
        .expect_err("in use");
    assert_eq!(used.class, Class::Conflict);
    lab.remove(&id);
    let saved = lab.run(async |e| {
        e.images.tag("bb", "bb", "two").await.expect("tagged");
        let mut tar = e
            .images
            .save(vec!["bb:two".into()], Vec::new())
            .await
            .expect("accepted");
        let mut bytes = Vec::new();
        while let Some(piece) = tar.next().await {
            bytes.extend_from_slice(&piece.expect("a piece"));
        }
        bytes
    });
    let before = lab
        .run(async |e| e.images.inspect("bb:two", None, false).await)
        .expect("there")
        .id;
    lab.run(async |e| {
        for name in ["bb", "bb:two"] {
            e.images
                .remove(name, RemoveImage::default())
                .await
                .expect("removed");
        }
        assert_eq!(
            e.images.inspect("bb", None, false).await.expect_err("gone").class,
            Class::NotFound
        );
        let body = Upload {
            pieces: Box::pin(stream::iter([Ok(saved.into())])),
            wanted_from: Default::default(),
        };
        let mut lines = e.images.load(body, true, Vec::new()).await.expect("accepted");
        while let Some(line) = lines.next().await {
            line.expect("loaded");
        }
    });
    assert_eq!(
        lab.run(async |e| e.images.inspect("bb:two", None, false).await)
            .expect("back")
            .id,
        before
    );
}

#[test]
fn an_engine_that_goes_down_has_its_layers_on_the_disk() {
    let lab = Lab::new();
    let with = |name: &str| {
        let layers = std::fs::read_dir(lab.config.data_root.join("layers")).expect("layers");
        let layers = layers.map(|layer| layer.expect("entry").path());
        layers.filter(|layer| layer.join(name).exists()).count()
    };
    lab.run(async |e| e.shutdown().await);
    assert_eq!((with("layer.json"), with("unsettled.json")), (1, 0));
}
