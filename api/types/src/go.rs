//! How Go's `encoding/json` treats nil, empty and absent values.
//!
//! A nil slice is `null`, an empty one `[]`, an `omitempty` member is absent when empty. [`Slice`] and [`Dict`] keep nil
//! and empty apart, so that what a client sent comes back as it was sent. [`empty`] is `omitempty`.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// A Go slice: nil (`null`) or a list. Reads as a `[T]`; nil reads as empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slice<T>(pub Option<Vec<T>>);

impl<T> Slice<T> {
    /// Nil, encoded as `null`.
    pub const fn nil() -> Self {
        Self(None)
    }
    pub const fn is_nil(&self) -> bool {
        self.0.is_none()
    }
    pub fn as_slice(&self) -> &[T] {
        self.0.as_deref().unwrap_or_default()
    }
    /// The list, made first when nil.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        self.0.get_or_insert_with(Vec::new)
    }
    pub fn push(&mut self, value: T) {
        self.to_mut().push(value);
    }
    pub fn into_vec(self) -> Vec<T> {
        self.0.unwrap_or_default()
    }
}

impl<T> Default for Slice<T> {
    fn default() -> Self {
        Self(None)
    }
}
impl<T> Deref for Slice<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}
impl<T> DerefMut for Slice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}
impl<T> From<Vec<T>> for Slice<T> {
    fn from(list: Vec<T>) -> Self {
        Self(Some(list))
    }
}
impl<T> From<Option<Vec<T>>> for Slice<T> {
    fn from(list: Option<Vec<T>>) -> Self {
        Self(list)
    }
}
impl<T> FromIterator<T> for Slice<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Some(items.into_iter().collect()))
    }
}
impl<T> IntoIterator for Slice<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}
impl<'a, T> IntoIterator for &'a Slice<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.as_slice().iter()
    }
}
impl<T: Serialize> Serialize for Slice<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Slice<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self)
    }
}

/// A Go `map[string]T`: nil (`null`) or a map, always written in the order of its keys. Nil reads as empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dict<T>(pub Option<BTreeMap<String, T>>);

impl<T> Dict<T> {
    /// Nil, encoded as `null`.
    pub const fn nil() -> Self {
        Self(None)
    }
    /// Empty, encoded as `{}`.
    pub const fn new() -> Self {
        Self(Some(BTreeMap::new()))
    }
    pub const fn is_nil(&self) -> bool {
        self.0.is_none()
    }
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.as_ref()?.get(key)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.0.as_mut()?.get_mut(key)
    }
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, BTreeMap::len)
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The map, made first when nil.
    pub fn to_mut(&mut self) -> &mut BTreeMap<String, T> {
        self.0.get_or_insert_with(BTreeMap::new)
    }
    pub fn insert(&mut self, key: impl Into<String>, value: T) -> Option<T> {
        self.to_mut().insert(key.into(), value)
    }
    pub fn remove(&mut self, key: &str) -> Option<T> {
        self.0.as_mut()?.remove(key)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.0.iter().flatten()
    }
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(key, _)| key)
    }
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }
    pub fn into_map(self) -> BTreeMap<String, T> {
        self.0.unwrap_or_default()
    }
}

impl<T> Default for Dict<T> {
    fn default() -> Self {
        Self(None)
    }
}
impl<T> From<BTreeMap<String, T>> for Dict<T> {
    fn from(map: BTreeMap<String, T>) -> Self {
        Self(Some(map))
    }
}
impl<T> From<Option<BTreeMap<String, T>>> for Dict<T> {
    fn from(map: Option<BTreeMap<String, T>>) -> Self {
        Self(map)
    }
}
impl<K: Into<String>, T> FromIterator<(K, T)> for Dict<T> {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(items: I) -> Self {
        Self(Some(
            items
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        ))
    }
}
impl<T> IntoIterator for Dict<T> {
    type Item = (String, T);
    type IntoIter = std::collections::btree_map::IntoIter<String, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.into_map().into_iter()
    }
}
impl<T: Serialize> Serialize for Dict<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dict<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self)
    }
}

/// Go's `struct{}`: always `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_map(Some(0))?.end()
    }
}
impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Empty)
    }
}

/// What `omitempty` leaves out.
pub trait OmitEmpty {
    fn omit(&self) -> bool;
}
macro_rules! omit_zero {
    ($($t:ty),*) => { $(impl OmitEmpty for $t { fn omit(&self) -> bool { *self == <$t>::default() } })* };
}
omit_zero!(
    bool,
    i8,
    i16,
    i32,
    i64,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    crate::time::Timestamp
);
impl OmitEmpty for String {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}
impl<T> OmitEmpty for Option<T> {
    fn omit(&self) -> bool {
        self.is_none()
    }
}
impl<T> OmitEmpty for Slice<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}
impl<T> OmitEmpty for Dict<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}
impl<T> OmitEmpty for Vec<T> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> OmitEmpty for BTreeMap<K, V> {
    fn omit(&self) -> bool {
        self.is_empty()
    }
}

/// For `#[serde(skip_serializing_if = "empty")]`.
pub fn empty<T: OmitEmpty>(value: &T) -> bool {
    value.omit()
}

/// Reads JSON as Go does: a `null` member is as good as none, unknown members are ignored.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    decode_value(serde_json::from_slice(json)?)
}

/// [`decode`] for JSON that has been read already.
pub fn decode_value<T: DeserializeOwned>(mut value: serde_json::Value) -> Result<T, serde_json::Error> {
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

/// Removes the members that are `null`, at every depth. Nulls in lists stay: they have a place.
/// serde_json refuses JSON nested deeper than 128 levels, which bounds the recursion.
pub fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// A number as Go writes it: without a fraction when there is none.
pub fn float<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        to.serialize_i64(*value as i64)
    } else {
        to.serialize_f32(*value)
    }
}

/// `strslice.StrSlice`: a list of strings, or one bare string for a list of one.
pub mod str_slice {
    use super::Slice;
    use serde::de::{Deserialize, Deserializer};

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        One(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Slice<String>, D::Error> {
        Ok(Slice(Option::<Either>::deserialize(from)?.map(
            |either| match either {
                Either::List(list) => list,
                Either::One(one) => vec![one],
            },
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nil_and_empty_are_told_apart() {
        for text in ["null", "[]", "[1]"] {
            let list: Slice<i32> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&list).unwrap(), text);
        }
        for text in ["null", "{}", r#"{"a":{}}"#] {
            let map: Dict<Empty> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&map).unwrap(), text);
        }
    }

    #[test]
    fn null_members_are_as_good_as_none() {
        let config: crate::container::Config =
            decode(br#"{"Hostname":null,"Tty":null,"Env":null,"Cmd":"ls","Unknown":[{"x":null}]}"#).unwrap();
        assert_eq!(config.hostname, "");
        assert!(config.env.is_nil());
        assert_eq!(&*config.cmd, ["ls"]);
    }
}
