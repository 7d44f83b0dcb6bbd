//! `docker wait`: registered before it answers, so that nothing that happens after is missed.

use super::{Containers, View};
use crate::error::Result;
use shoal_api_backend::{BoxStream, WaitCondition};
use shoal_api_types::container::{WaitExitError, WaitResponse};
use std::sync::Arc;

impl Containers {
    pub async fn wait(
        &self,
        reference: &str,
        condition: WaitCondition,
    ) -> Result<BoxStream<Result<WaitResponse>>> {
        let handle = self.kit.registry.get(reference)?;
        let mut watch = handle.watch();
        let before = watch.borrow_and_update().clone();
        Ok(Box::pin(futures_util::stream::once(async move {
            let exits = before.state.exits;
            let mut last = before;
            loop {
                if met(&last, condition, exits) {
                    return Ok(answer(&last));
                }
                if watch.changed().await.is_err() {
                    // The actor has ended with its container, or with the daemon.
                    return Ok(answer(&watch.borrow()));
                }
                last = watch.borrow_and_update().clone();
            }
        })))
    }
}

fn met(view: &Arc<View>, condition: WaitCondition, exits: u64) -> bool {
    if view.gone {
        return true;
    }
    match condition {
        WaitCondition::NotRunning => !view.phase().counts_as_running(),
        // A start that fails is told to who asked for it; whoever waits goes on waiting, as with Docker.
        WaitCondition::NextExit => view.state.exits > exits,
        WaitCondition::Removed => false,
    }
}

fn answer(view: &View) -> WaitResponse {
    // A container that is gone was removed as it was asked to be: the reason why it never ran was told to whoever started it.
    let error = (!view.gone && !view.state.error.is_empty()).then(|| WaitExitError {
        message: view.state.error.clone(),
    });
    WaitResponse {
        error,
        status_code: i64::from(view.state.exit_code),
    }
}
