//! One container of a list, with its text once somebody has written it.

use shoal_api_types::container::ContainerSummary;
use std::ops::Deref;
use std::sync::OnceLock;

/// Never changes: when something has happened to the container, another one takes its place. So whoever lists many to which
/// nothing has happened is given the same values, and texts, again and again.
#[derive(Debug, Default)]
pub struct Listed {
    summary: ContainerSummary,
    texts: [OnceLock<Box<str>>; Listed::SHAPES],
}

impl Listed {
    /// How many texts there can be of one container: what clients of different age get.
    pub const SHAPES: usize = 4;

    pub fn new(summary: ContainerSummary) -> Self {
        Self {
            summary,
            ..Self::default()
        }
    }

    /// The text of one shape, which is `write`'s on the first call and the same on all that follow.
    pub fn text<E>(
        &self,
        shape: usize,
        write: impl FnOnce(&ContainerSummary) -> Result<Box<str>, E>,
    ) -> Result<&str, E> {
        let place = &self.texts[shape];
        if let Some(text) = place.get() {
            return Ok(text);
        }
        let text = write(&self.summary)?;
        Ok(place.get_or_init(|| text))
    }
}

impl Deref for Listed {
    type Target = ContainerSummary;
    fn deref(&self) -> &ContainerSummary {
        &self.summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_once_for_each_shape() {
        let one = Listed::new(ContainerSummary {
            id: "a".into(),
            ..ContainerSummary::default()
        });
        assert!(one.text(0, |_| Err(())).is_err(), "a failure is not kept");
        let written = |text: &str| Ok::<_, ()>(Box::from(text));
        assert_eq!(one.text(0, |c| written(&c.id)), Ok("a"));
        assert_eq!(one.text(0, |_| written("again")), Ok("a"));
        assert_eq!(one.text(1, |_| written("other")), Ok("other"));
    }
}
