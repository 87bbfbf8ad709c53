//! Objects of a configuration that is not ours: what was looked at, so that the rest can be told.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// An object, and where it stands.
#[derive(Debug)]
pub(super) struct Members<'v> {
    members: &'v Map<String, Value>,
    path: String,
    seen: RefCell<BTreeSet<String>>,
}

impl<'v> Members<'v> {
    /// `None` for what is no object.
    pub(super) fn new(value: &'v Value, path: impl Into<String>) -> Option<Self> {
        Some(Self {
            members: value.as_object()?,
            path: path.into(),
            seen: RefCell::default(),
        })
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where a member stands.
    pub(super) fn path_of(&self, name: &str) -> String {
        let camel = camel(name);
        let name = match self.members.contains_key(&camel) {
            true => camel.as_str(),
            false => name,
        };
        match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        }
    }

    /// A member that is there and not null. Protobuf reads `remoteJwks` and `remote_jwks` alike.
    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        [name.to_owned(), camel(name)].into_iter().find_map(|name| {
            let value = self.members.get(&name).filter(|value| !value.is_null());
            if value.is_some() {
                self.seen.borrow_mut().insert(name);
            }
            value
        })
    }

    /// A text that is there and not empty: protobuf knows no other.
    pub(super) fn text(&self, name: &str) -> Option<&'v str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A flag that is on.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool) == Some(true)
    }

    /// A number that is not negative, of a wrapper too.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Whole seconds of a duration, rounded up: `1.5s`, or `{seconds: 1}`.
    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        let Some(text) = value.as_str() else {
            let seconds = value.get("seconds")?;
            return seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok());
        };
        let text = text.strip_suffix('s')?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let more = u64::from(part.bytes().any(|digit| digit != b'0'));
        Some(whole.parse::<u64>().ok()? + more)
    }

    /// An object below.
    pub(super) fn object(&self, name: &str) -> Option<Self> {
        Self::new(self.get(name)?, self.path_of(name))
    }

    /// The objects of a list.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let entries = self.get(name).and_then(Value::as_array);
        entries
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, value)| Self::new(value, format!("{}[{index}]", self.path_of(name))))
            .collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let entries = self.get(name).and_then(Value::as_array);
        let texts = entries.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The objects under names of the author's.
    pub(super) fn named(&self, name: &str) -> Vec<(&'v str, Self)> {
        let members = self.get(name).and_then(Value::as_object);
        members
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| {
                let path = format!("{}.{key}", self.path_of(name));
                Some((key.as_str(), Self::new(value, path)?))
            })
            .collect()
    }

    /// The members that nobody has looked at, but for those that say nothing.
    pub(super) fn rest(&self) -> Vec<&'v str> {
        let seen = self.seen.borrow();
        let says_something = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(entries) => !entries.is_empty(),
            Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
        };
        let members = self.members.iter();
        members
            .filter(|(name, value)| !seen.contains(*name) && *name != "@type" && says_something(value))
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut characters = part.chars();
        camel.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        camel.extend(characters);
    }
    camel
}
