//! How an image was made, step by step.

use crate::config::unix;
use crate::error::Result;
use crate::images::Images;

/// One step, the last one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The image's id for its last step, `<missing>` for the others.
    pub id: String,
    /// Unix seconds.
    pub created: i64,
    pub created_by: String,
    pub comment: String,
    /// Bytes that the step added.
    pub size: u64,
    /// Names of the image, on its last step.
    pub tags: Vec<String>,
}

impl Images {
    pub fn history(&self, name: &str) -> Result<Vec<Step>> {
        let image = self.get(name)?;
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
        if let Some(last) = steps.first_mut() {
            last.id = image.id;
            last.tags = image.repo_tags;
        }
        Ok(steps)
    }
}
