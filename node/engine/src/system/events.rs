//! `docker events`.

use crate::clock;
use crate::error::{Result, invalid, system};
use crate::events::{Events, passes};
use futures_util::StreamExt;
use futures_util::stream;
use shoal_api_backend as api;
use shoal_api_backend::BoxStream;
use shoal_api_types::event::EventMessage;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Subscribed when this returns.
pub fn stream(events: &Events, options: api::Events) -> Result<BoxStream<Result<EventMessage>>> {
    let since = options.since.map(|t| t.unix_nanos());
    let until = options.until.map(|t| t.unix_nanos());
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(invalid("`since` time must be before `until` time"));
    }
    // An end without a beginning is still about what has happened.
    let (past, live) = events.subscribe(since.is_some() || until.is_some());
    let filters = Arc::new(options.filters);
    // An end in 1970 or before ends the stream at once and limits nothing: `since=0&until=0` is all that is known.
    let last = until.filter(|u| *u > 0);
    let in_time = move |event: &EventMessage| {
        let at = i128::from(event.time_nano);
        since.is_none_or(|s| at >= s) && last.is_none_or(|u| at <= u)
    };
    let wanted = filters.clone();
    let past = stream::iter(
        past.into_iter()
            .filter(move |e| in_time(e) && passes(e, &wanted))
            .map(|e| Ok((*e).clone())),
    );
    let until = until.map(clock::from_nanos);
    if until.is_some_and(|at| at <= clock::now()) {
        return Ok(Box::pin(past));
    }
    let fits = move |event: &EventMessage| passes(event, &filters);
    let live = stream::unfold(Some(live), move |live| {
        let fits = fits.clone();
        async move {
            let mut live = live?;
            loop {
                let next = async {
                    match until {
                        Some(at) => tokio::time::timeout(clock::until(at), live.recv()).await.ok(),
                        None => Some(live.recv().await),
                    }
                };
                match next.await {
                    Some(Ok(event)) if fits(&event) => return Some((Ok((*event).clone()), Some(live))),
                    Some(Ok(_)) => {}
                    // Never a silent gap.
                    Some(Err(RecvError::Lagged(lost))) => {
                        let error = system(format!(
                            "this client reads too slowly: {lost} events were not sent"
                        ));
                        return Some((Err(error), None));
                    }
                    Some(Err(RecvError::Closed)) | None => return None,
                }
            }
        }
    });
    Ok(Box::pin(past.chain(live)))
}
