//! What was looked at on the way to a decision, and what came of it: for the program, which tells a person why.
//!
//! The words of it, and no more: who looks writes them, with what the decision itself has said.

use std::fmt;

use serde::Serialize;

use crate::excerpt::Excerpt;
use crate::redact;
use crate::time::UnixTime;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What came of it.
    pub result: Verdict,
    /// In words. No secret.
    pub text: String,
    /// The reason of the refusal that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Of the request itself: its method, path, host.
    Request,
    /// A rule that decides if it matches.
    Rule,
    /// A rule that only looks (`enforcement: shadow`).
    ShadowRule,
    /// A condition of a rule's `match`.
    Condition,
    /// A credential, or a place where one could stand.
    Credential,
    /// Something that is asked of a credential or a caller, or that is done for it.
    Check,
    /// Something that a rule puts on a call.
    PutOn,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be; of a rule: it matches.
    Good,
    /// Not as it should be.
    Bad,
    /// Not looked at any more; of a rule: it does not match.
    Skipped,
    /// Something would have to be asked for first.
    Unknown,
    /// A fact, neither good nor bad.
    Note,
}

impl Finding {
    /// A finding with nothing below it.
    pub fn new(kind: Kind, name: impl Into<String>, result: Verdict, text: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            result,
            text: text.into(),
            reason: None,
            findings: Vec::new(),
        }
    }

    /// The same, with what it consists of.
    pub fn with(mut self, findings: Vec<Self>) -> Self {
        self.findings = findings;
        self
    }

    /// The same, which leads to a refusal.
    pub const fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The reasons of refusals, in their order, here and below; without those of rules in shadow, which refuse nobody.
    pub fn reasons(&self) -> Vec<&'static str> {
        let below = self
            .findings
            .iter()
            .filter(|below| below.kind != Kind::ShadowRule);
        let below = below.flat_map(Self::reasons);
        self.reason.into_iter().chain(below).collect()
    }
}

/// A text from outside between backticks, escaped and cut.
pub fn quoted(text: &str) -> String {
    format!("`{}`", Excerpt::new(text))
}

/// Bytes from outside between backticks, escaped and cut.
pub fn quoted_bytes(bytes: &[u8]) -> String {
    format!("`{}`", redact::printable(bytes, MAX_SHOWN))
}

/// Texts between backticks, with commas; the rest of a long list is counted.
pub fn listed<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let all: Vec<String> = texts.into_iter().map(quoted).collect();
    let left_out = all.len().saturating_sub(MAX_LISTED);
    let shown: Vec<&str> = all.iter().take(MAX_LISTED).map(String::as_str).collect();
    match (all.is_empty(), left_out) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A credential as it may be shown: of what looks like a JWT the beginning, which says no secret, of all else the length.
pub fn shortened(credential: &[u8]) -> String {
    let is_jwt =
        credential.starts_with(b"eyJ") && credential.iter().filter(|byte| **byte == b'.').count() >= 2;
    let beginning = credential.get(..SHOWN_OF_TOKEN).filter(|_| is_jwt);
    let beginning = beginning.map(|beginning| format!("{}…, ", redact::printable(beginning, MAX_SHOWN)));
    format!("{}{} bytes", beginning.unwrap_or_default(), credential.len())
}

/// How far a time is from now.
pub fn distance(time: UnixTime, now: UnixTime) -> String {
    match (time.seconds(), now.seconds()) {
        (time, now) if time > now => format!("in {}", Span(time - now)),
        (time, now) if time < now => format!("{} ago", Span(now - time)),
        _ => "now".to_owned(),
    }
}

/// A number of seconds, in the two largest of days, hours, minutes and seconds.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = *self;
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "min"),
            (seconds % 60, "s"),
        ];
        let told = parts.into_iter().skip_while(|(count, _)| *count == 0).take(2);
        let told: Vec<String> = told
            .filter(|(count, _)| *count > 0)
            .map(|(count, unit)| format!("{count} {unit}"))
            .collect();
        formatter.write_str(&told.join(" "))
    }
}

/// How much of a text from outside is shown.
const MAX_SHOWN: usize = 96;
/// How many entries of a list are shown.
const MAX_LISTED: usize = 8;
/// `{"alg":` in base64url takes ten characters.
const SHOWN_OF_TOKEN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let at = UnixTime::from_seconds;
        for (time, told) in [
            (1_000_000, "now"),
            (1_000_001, "in 1 s"),
            (999_940, "1 min ago"),
            (999_935, "1 min 5 s ago"),
            (1_003_661, "in 1 h 1 min"),
            (1_090_000, "in 1 d 1 h"),
            (1_086_401, "in 1 d"),
        ] {
            assert_eq!(distance(at(time), at(1_000_000)), told, "{time}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(shortened(b"secret-key-0001"), "15 bytes");
        assert_eq!(
            shortened(b"eyJhbGciOiJFZERTQSJ9.e30.c2ln"),
            "eyJhbGciOi…, 29 bytes"
        );
        assert_eq!(shortened(b"eyJ"), "3 bytes");
    }

    #[test]
    fn lists() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a", "b"]), "`a`, `b`");
        assert_eq!(
            listed(["a"; 10]),
            "`a`, `a`, `a`, `a`, `a`, `a`, `a`, `a` and 2 more"
        );
    }

    #[test]
    fn a_rule_in_shadow_gives_no_reason() {
        let denied = |kind| Finding::new(kind, "a", Verdict::Bad, "").because("no_rule");
        let both = Finding::new(Kind::Rule, "b", Verdict::Good, "")
            .with(vec![denied(Kind::Check), denied(Kind::ShadowRule)]);
        assert_eq!(both.reasons(), ["no_rule"]);
    }
}
