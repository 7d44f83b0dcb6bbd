//! `docker container prune`.

use super::Containers;
use crate::clock;
use crate::error::{Result, invalid};
use shoal_api_backend::RemoveContainer;
use shoal_api_types::container::PruneReport;
use shoal_api_types::{Filters, Slice, Timestamp};
use shoal_node_core_host::lifecycle::{Phase, Time};

impl Containers {
    pub async fn prune(&self, filters: Filters) -> Result<PruneReport> {
        if let Some(key) = filters.unknown_key(&["label", "label!", "until"]) {
            return Err(invalid(format!("invalid filter '{key}'")));
        }
        let until = until(&filters)?;
        let mut deleted: Vec<String> = Vec::new();
        let mut space_reclaimed = 0;
        for handle in self.kit.registry.all() {
            let view = handle.view();
            let label = |key: &str| view.record.config.labels.get(key).map(String::as_str);
            let excluded = filters.contains("label!") && filters.matches_labels("label!", label);
            let idle = matches!(view.phase(), Phase::Created | Phase::Exited | Phase::Dead);
            let old = until.is_none_or(|t| view.record.created < t);
            if !idle || !old || excluded || !filters.matches_labels("label", label) {
                continue;
            }
            let size = self.kit.images.usage(handle.id()).await.unwrap_or(0);
            let options = RemoveContainer::default();
            if self.remove(handle.id(), options).await.is_ok() {
                space_reclaimed += size;
                deleted.push(handle.id().to_string());
            }
        }
        self.kit.events.pruned("container", space_reclaimed);
        let containers_deleted = if deleted.is_empty() {
            Slice::nil()
        } else {
            deleted.into()
        };
        Ok(PruneReport {
            containers_deleted,
            space_reclaimed,
        })
    }
}

/// `until=`: a point in time, or a duration back from now (`24h`).
pub(crate) fn until(filters: &Filters) -> Result<Option<Time>> {
    let mut values = filters.get("until");
    let Some(text) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid("more than one until filter specified"));
    }
    if let Some(ns) = duration_ns(text) {
        return Ok(Some(Time(clock::now().0.saturating_sub(ns))));
    }
    let at = Timestamp::parse_query(text)
        .map_err(|_| invalid(format!("failed to parse value as time or duration: {text:?}")))?;
    Ok(Some(clock::from_nanos(at.unix_nanos())))
}

/// Go's durations: `1h30m`, `500ms`.
pub(crate) fn duration_ns(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, scale) = [
            ("ms", 1e6),
            ("us", 1e3),
            ("ns", 1.0),
            ("h", 3.6e12),
            ("m", 6e10),
            ("s", 1e9),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * scale;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty()).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::{duration_ns, until};
    use shoal_api_types::Filters;

    #[test]
    fn a_time_long_before_all_others_is_not_the_end_of_time() {
        let filters = |text: &str| {
            let mut filters = Filters::new();
            filters.add("until", text);
            filters
        };
        assert_eq!(until(&filters("-99999999999")).unwrap().unwrap().0, i64::MIN);
        assert_eq!(until(&filters("99999999999")).unwrap().unwrap().0, i64::MAX);
    }

    #[test]
    fn durations() {
        assert_eq!(duration_ns("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration_ns("500ms"), Some(500_000_000));
        assert_eq!(duration_ns("12"), None);
        assert_eq!(duration_ns(""), None);
    }
}
