//! What registries know: who has what under which name.

use super::{ImagesService, error, oci_platform};
use crate::error::{Result, invalid};
use shoal_api_types::auth::AuthConfig;
use shoal_api_types::image::{Descriptor, DistributionInspect, OciPlatform, SearchResult};
use shoal_api_types::{Filters, Slice};
use shoal_node_drivers_images::{Digest, Reference};

/// What one search gives at most, and by default.
const HITS_MAX: usize = 100;
const HITS: usize = 25;

impl ImagesService {
    pub(super) async fn ask_registry(
        &self,
        name: &str,
        auth: Option<AuthConfig>,
    ) -> Result<DistributionInspect> {
        if Digest::parse(name).is_ok() {
            return Err(invalid("no manifest found for full image ID"));
        }
        let name = Reference::parse(name).map_err(error)?;
        let found = self.store.distribution(&name, auth).await.map_err(error)?;
        let platforms: Vec<OciPlatform> = found.platforms.iter().map(oci_platform).collect();
        Ok(DistributionInspect {
            descriptor: descriptor(&found.descriptor),
            platforms: Slice::from(platforms),
        })
    }

    pub(super) async fn look_for(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        auth: Option<AuthConfig>,
    ) -> Result<Vec<SearchResult>> {
        let flag = |key: &'static str| {
            let bad = move |value: String| invalid(format!("invalid filter '{key}={value}'"));
            filters.get_bool(key).map_err(bad)
        };
        let (automated, official) = (flag("is-automated")?, flag("is-official")?);
        let mut stars = 0;
        for value in filters.get("stars") {
            let least: i64 = value
                .parse()
                .map_err(|_| invalid(format!("invalid filter 'stars={value}'")))?;
            stars = stars.max(least);
        }
        let limit = match limit {
            0 => HITS,
            limit if limit > HITS_MAX => {
                return Err(invalid(format!("limit {limit} is outside the range of [1, 100]")));
            }
            limit => limit,
        };
        let hits = self.store.search(term, limit, auth).await.map_err(error)?;
        // Nothing has been built automatically since the Hub gave that up.
        let wanted = hits.into_iter().filter(|hit| {
            automated != Some(true)
                && official.is_none_or(|official| official == hit.is_official)
                && hit.star_count >= stars
        });
        Ok(wanted
            .map(|hit| SearchResult {
                star_count: hit.star_count,
                is_official: hit.is_official,
                name: hit.name,
                is_automated: false,
                description: hit.description,
            })
            .collect())
    }
}

/// In the API's words.
pub(super) fn descriptor(of: &shoal_node_drivers_images::Descriptor) -> Descriptor {
    Descriptor {
        media_type: of.media_type.clone(),
        digest: of.digest.to_string(),
        size: super::verbs::signed(of.size),
        annotations: of.annotations.clone().into_iter().collect(),
        platform: of.platform.as_ref().map(oci_platform),
        ..Descriptor::default()
    }
}
