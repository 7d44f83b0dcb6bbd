//! One table: objects of one kind by id, with an index of their names.

mod row;
mod tasks;

pub use row::Row;
pub(crate) use tasks::TaskIndex;

use imbl::{OrdMap, OrdSet};
use std::sync::Arc;

/// Rows are shared by reference count: a clone of the table copies no object.
#[derive(Clone, Debug)]
pub struct Table<T: Row> {
    rows: OrdMap<T::Id, Arc<T>>,
    /// By lower-cased name, as Docker compares names. A set, because some kinds allow a name twice.
    names: OrdMap<String, OrdSet<T::Id>>,
}

impl<T: Row> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: OrdMap::new(),
            names: OrdMap::new(),
        }
    }
}

impl<T: Row> Table<T> {
    pub fn get(&self, id: &T::Id) -> Option<&Arc<T>> {
        self.rows.get(id)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.rows.values()
    }

    /// Rows with that name, upper and lower case alike.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Arc<T>> {
        self.names
            .get(&name.to_lowercase())
            .into_iter()
            .flat_map(|ids| ids.iter())
            .filter_map(|id| self.rows.get(id))
    }

    /// Rows whose id starts with `prefix`, in the order of their ids.
    pub fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        self.rows
            .range(T::id_from(prefix)..)
            .take_while(move |(id, _)| T::id_str(id).starts_with(prefix))
            .map(|(_, row)| row)
    }

    pub(crate) fn put(&mut self, row: Arc<T>) {
        let id = row.id().clone();
        let name = row.name().to_lowercase();
        if let Some(old) = self.rows.get(&id) {
            let old_name = old.name().to_lowercase();
            if old_name != name {
                self.forget_name(&old_name, &id);
            }
        }
        if !name.is_empty() {
            self.names.entry(name).or_default().insert(id.clone());
        }
        self.rows.insert(id, row);
    }

    pub(crate) fn take(&mut self, id: &T::Id) -> Option<Arc<T>> {
        let row = self.rows.remove(id)?;
        self.forget_name(&row.name().to_lowercase(), id);
        Some(row)
    }

    fn forget_name(&mut self, name: &str, id: &T::Id) {
        if let Some(ids) = self.names.get_mut(name) {
            ids.remove(id);
            if ids.is_empty() {
                self.names.remove(name);
            }
        }
    }
}
