//! `/secrets` and `/configs`: what tasks are given besides their image. Only labels can be changed.

use super::convert::{annotations_from, material as convert};
use super::{Control, known_filters, label, only};
use crate::error;
use crate::ids::Ids;
use shoal_api_backend::{Class, Result};
use shoal_api_types::Filters;
use shoal_api_types::swarm as api;
use shoal_node_core_cluster::validate;
use shoal_raft_consensus::State;
use shoal_raft_objects::{Annotations, Config, ConfigId, Kind, Secret, SecretId, Service, Write};
use std::sync::Arc;

const FILTERS: &[&str] = &["name", "names", "id", "label"];

macro_rules! material {
    ($list:ident, $one:ident, $create:ident, $update:ident, $remove:ident, $find:ident,
     $Object:ident, $Id:ident, $Spec:ident, $convert:ident, $from:ident, $table:ident, $member:literal, $key:literal, $what:literal) => {
        impl Control {
            pub async fn $list(&self, filters: Filters) -> Result<Vec<api::$Object>> {
                known_filters(&filters, FILTERS)?;
                let state = self.manager.ledger.current().await?;
                let listed = state
                    .$table()
                    .iter()
                    .filter(|o| wanted(o.id.as_str(), &o.spec.annotations, &filters));
                Ok(listed.map(|o| convert::$convert(o)).collect())
            }

            pub async fn $one(&self, id: &str) -> Result<api::$Object> {
                let state = self.manager.ledger.current().await?;
                Ok(convert::$convert(&*$find(&state, id)?))
            }

            pub async fn $create(&self, spec: api::$Spec) -> Result<String> {
                let spec = convert::$from(&spec)?;
                validate::object_name(&spec.annotations.name)
                    .map_err(|e| super::convert::service::invalid_argument(&e.to_string()))?;
                let id = $Id::draw(&mut Ids);
                let object = $Object {
                    id: id.clone(),
                    spec,
                    ..Default::default()
                };
                self.manager
                    .ledger
                    .write(vec![Write::Create(object.into())])
                    .await?;
                Ok(id.to_string())
            }

            pub async fn $update(&self, id: &str, version: u64, spec: api::$Spec) -> Result<()> {
                let state = self.manager.ledger.current().await?;
                let known = $find(&state, id)?;
                let given = annotations_from(&spec.annotations);
                let data_changes = !spec.data.is_empty() && convert::$from(&spec)?.data != known.spec.data;
                if given.name != known.spec.annotations.name || data_changes {
                    return Err(super::convert::service::invalid_argument(
                        "only updates to Labels are allowed",
                    ));
                }
                let mut changed = $Object::clone(&known);
                changed.spec.annotations.labels = given.labels;
                let write = Write::Spec {
                    object: changed.into(),
                    version,
                };
                self.manager.ledger.write(vec![write]).await?;
                Ok(())
            }

            pub async fn $remove(&self, id: &str) -> Result<()> {
                let state = self.manager.ledger.current().await?;
                let known = $find(&state, id)?;
                let users: Vec<&str> = state
                    .services()
                    .iter()
                    .filter(|s| uses(s, $member, $key, known.id.as_str()))
                    .map(|s| s.spec.name.as_str())
                    .collect();
                if !users.is_empty() {
                    let plural = if users.len() > 1 {
                        "services"
                    } else {
                        "service"
                    };
                    let why = format!(
                        "{} '{}' is in use by the following {plural}: {}",
                        $what,
                        known.spec.annotations.name,
                        users.join(", ")
                    );
                    return Err(error::rpc(Class::InvalidParameter, "InvalidArgument", why));
                }
                let write = Write::Delete {
                    kind: Kind::$Object,
                    id: known.id.to_string(),
                    touched: None,
                };
                self.manager.ledger.write(vec![write]).await?;
                Ok(())
            }
        }

        fn $find(state: &State, asked: &str) -> Result<Arc<$Object>> {
            if let Some(found) = state.$table().get(&$Id::from(asked)) {
                return Ok(found.clone());
            }
            let named: Vec<_> = state.$table().named(asked).cloned().collect();
            if !named.is_empty() {
                return only($what, asked, named);
            }
            let prefixed = state
                .$table()
                .iter()
                .filter(|o| !asked.is_empty() && o.id.as_str().starts_with(asked));
            only($what, asked, prefixed.cloned().collect())
        }
    };
}

material!(
    secrets,
    secret,
    create_secret,
    update_secret,
    remove_secret,
    find_secret,
    Secret,
    SecretId,
    SecretSpec,
    secret,
    secret_from,
    secrets,
    "Secrets",
    "SecretID",
    "secret"
);
material!(
    configs,
    config,
    create_config,
    update_config,
    remove_config,
    find_config,
    Config,
    ConfigId,
    ConfigSpec,
    config,
    config_from,
    configs,
    "Configs",
    "ConfigID",
    "config"
);

fn wanted(id: &str, annotations: &Annotations, filters: &Filters) -> bool {
    filters.matches_prefix("id", id)
        && filters.matches_prefix("name", &annotations.name)
        && filters.matches("names", &annotations.name)
        && filters.matches_labels("label", label(&annotations.labels))
}

fn uses(service: &Service, member: &str, key: &str, id: &str) -> bool {
    service
        .spec
        .task_template
        .container_spec
        .as_ref()
        .and_then(|c| c.rest.get(member))
        .and_then(serde_json::Value::as_array)
        .is_some_and(|list| {
            list.iter()
                .any(|r| r.get(key).and_then(serde_json::Value::as_str) == Some(id))
        })
}
