//! Differences that were looked at and found to be right.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `exceptions.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exceptions {
    tokens: Vec<Exception>,
}

/// Tokens that the filter takes and the other refuses: what the other says, and what must then be true of the token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    /// How that begins which the other says.
    refusal: String,
    /// Where in the token it stands.
    part: Part,
    /// The names of the members, any of which may be the cause.
    members: Vec<String>,
    /// What the member holds.
    holds: Kind,
    /// Why the filter is right.
    #[allow(dead_code)]
    why: String,
    /// How often each member was the cause.
    #[serde(skip)]
    met: RefCell<BTreeMap<String, usize>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Part {
    Header,
    Claims,
}

/// Kinds of values.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Anything,
    NotText,
    NegativeNumber,
    #[serde(rename = "beyond_u64")]
    BeyondU64,
    #[serde(rename = "Ed25519")]
    Ed25519,
}

impl Exceptions {
    pub(crate) fn load() -> Self {
        serde_saphyr::from_str(include_str!("exceptions.yaml")).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether a token that the other refuses so is listed.
    pub(crate) fn covers(&self, refusal: &str, header: &Value, claims: &Value) -> bool {
        self.tokens
            .iter()
            .any(|exception| exception.covers(refusal, header, claims))
    }

    /// Those that no token needed.
    pub(crate) fn unused(&self) -> Vec<String> {
        self.tokens
            .iter()
            .flat_map(|exception| {
                let is_unused = |member: &&String| !exception.met.borrow().contains_key(*member);
                exception.members.iter().filter(is_unused)
            })
            .cloned()
            .collect()
    }

    /// How many tokens needed one.
    pub(crate) fn count(&self) -> usize {
        let of_one = |exception: &Exception| exception.met.borrow().values().sum::<usize>();
        self.tokens.iter().map(of_one).sum()
    }
}

impl Exception {
    fn covers(&self, refusal: &str, header: &Value, claims: &Value) -> bool {
        let part = match self.part {
            Part::Header => header,
            Part::Claims => claims,
        };
        let is_cause = |member: &&String| part.get(member).is_some_and(|value| self.holds.is(value));
        if !refusal.starts_with(&self.refusal) {
            return false;
        }
        let cause = self.members.iter().find(is_cause);
        if let Some(member) = cause {
            *self.met.borrow_mut().entry(member.clone()).or_default() += 1;
        }
        cause.is_some()
    }
}

impl Kind {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Anything => true,
            Self::NotText => !value.is_string(),
            Self::NegativeNumber => value.as_f64().is_some_and(|number| number < 0.0),
            Self::BeyondU64 => value.as_f64().is_some_and(|number| number >= TWO_TO_64),
            Self::Ed25519 => value == "Ed25519",
        }
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
