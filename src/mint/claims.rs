//! What a token says.

use std::fmt;

use serde_json::{Map, Value};

use crate::time::UnixTime;

/// The claims of a token that is to be made (RFC 7519 §4.1, RFC 8693 §4.2).
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`: one as a text, several as a list.
    pub audiences: Vec<String>,
    /// `scope`, with a space between them.
    pub scopes: Vec<String>,
    /// From `iat` to `exp`.
    pub lifetime_seconds: u64,
    /// All others, which take the place of those above; null takes one away.
    pub others: Vec<(String, Value)>,
}

impl Claims {
    /// As an issuer would write them at a moment.
    pub fn at(&self, now: UnixTime) -> Map<String, Value> {
        let mut claims = Map::new();
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        if let Some(issuer) = &self.issuer {
            set("iss", issuer.as_str().into());
        }
        if let Some(subject) = &self.subject {
            set("sub", subject.as_str().into());
        }
        match self.audiences.as_slice() {
            [] => {}
            [one] => drop(set("aud", one.as_str().into())),
            several => drop(set("aud", several.into())),
        }
        if !self.scopes.is_empty() {
            set("scope", self.scopes.join(" ").into());
        }
        set("iat", now.seconds().into());
        set("exp", now.seconds().saturating_add(self.lifetime_seconds).into());
        for (name, value) in &self.others {
            match value {
                Value::Null => claims.remove(name),
                value => claims.insert(name.clone(), value.clone()),
            };
        }
        claims
    }
}

/// `name=json`.
///
/// # Errors
/// [`NotAJsonValue`], which repeats nothing: who mistypes may have written anything.
pub fn claim(text: &str) -> Result<(String, Value), NotAJsonValue> {
    let (name, value) = text.split_once('=').ok_or(NotAJsonValue)?;
    match serde_json::from_str(value) {
        Ok(value) if !name.is_empty() => Ok((name.to_owned(), value)),
        _ => Err(NotAJsonValue),
    }
}

/// A claim that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAJsonValue;

impl fmt::Display for NotAJsonValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("write `name=json`, a text in quotes of its own: 'role=\"admin\"'")
    }
}

impl std::error::Error for NotAJsonValue {}
