//! How an image was made, step by step.

use crate::config::unix;
use crate::digest::Digest;
use crate::error::Result;
use crate::images::Images;
use crate::platform::Platform;
use crate::reference::Reference;

/// One step, the last one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The image's id for its last step, those of the images that it was committed on below it, `<missing>` for the
    /// others.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    pub created_by: String,
    pub comment: String,
    /// Bytes that the step added.
    pub size: u64,
    /// Names of the image that the id is of.
    pub tags: Vec<String>,
}

impl Images {
    pub fn history(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<Step>> {
        let image = self.get_for(name, platform)?;
        let state = self.store.state.lock();
        let mut sizes = image
            .layers
            .iter()
            .map(|chain| state.layers.get(chain).map_or(0, |layer| layer.size));
        let mut steps: Vec<Step> = image
            .config
            .history
            .iter()
            .map(|step| Step {
                id: "<missing>".to_owned(),
                created: unix(step.created.as_deref()),
                created_by: step.created_by.clone(),
                comment: step.comment.clone(),
                size: if step.empty_layer {
                    0
                } else {
                    sizes.next().unwrap_or(0)
                },
                tags: Vec::new(),
            })
            .collect();
        steps.reverse();
        // A commit adds one step: below it stands the image that it was made on.
        let mut next = Some((image.id, image.repo_tags));
        for step in &mut steps {
            let Some((id, tags)) = next else {
                break;
            };
            let parent = Digest::parse(&id).ok().and_then(|id| state.parent_of(&id));
            next = parent.map(|parent| {
                let (tags, _) = state.names(&parent);
                (parent.to_string(), tags.iter().map(Reference::familiar).collect())
            });
            (step.id, step.tags) = (id, tags);
        }
        Ok(steps)
    }
}
