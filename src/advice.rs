//! Advice on a policy that loads: what its author may not have meant.
//!
//! Errors keep a policy from being loaded and warnings name what is written down as insecure; a hint is for what is
//! allowed, does what it says, and is all the same likely to be a mistake: a rule that can never match, a stricter rule
//! that is got past by another method, a peer that nobody can be. Whatever is claimed of requests was tried on the
//! compiled rules, or follows from them: where it cannot be shown, nothing is said.
//!
//! It is for `peergate check` alone. The filter does not hold this code: proxies load what an author was told about.

mod audiences;
mod callers;
mod conditions;
mod entry;
mod order;
mod outbound;
mod pattern;
mod resources;
mod rules;
mod samples;
mod secrets;
mod shadow;
mod strength;
mod wildcards;
mod words;

use std::fmt;

use crate::config::path::Path;
use crate::config::{Document, Environment};
use crate::policy::Policy;

pub use self::strength::Weakness;
pub(crate) use self::words::LEAST_KEY_BYTES;
pub use self::words::{Advice, Credential, Requests};

/// One thing that may not be meant, and where. Prints as one line, `path: advice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    path: String,
    advice: Advice,
}

impl Hint {
    /// Where: `inbound.rules[2].match.paths[0]`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub const fn advice(&self) -> &Advice {
        &self.advice
    }

    /// What to do about it, where that is not plain.
    pub fn help(&self) -> Option<String> {
        self.advice.help()
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.advice)
    }
}

/// All advice on a policy, in the order of the document.
///
/// The policy must be the one that was read from this document with this environment: rules and peers are found in both
/// by their places.
pub fn hints(policy: &Policy, document: &Document, environment: &Environment) -> Vec<Hint> {
    let mut findings = Findings {
        document,
        hints: Vec::new(),
    };
    rules::advise(policy, document, &mut findings);
    wildcards::advise(document, &mut findings);
    audiences::advise(policy, document, &mut findings);
    callers::advise(policy, document, &mut findings);
    secrets::advise(document, environment, &mut findings);
    resources::advise(policy, &mut findings);
    outbound::advise(policy, document, &mut findings);
    if let Some(assertion) = policy
        .inbound
        .as_ref()
        .and_then(|inbound| inbound.assertion.as_ref())
        && assertion.lifetime_seconds > LONG_LIFETIME_SECONDS
    {
        let path = Path::root();
        let (path, seconds) = (path.member("inbound"), assertion.lifetime_seconds);
        let (path, name) = (path.member("forward"), "assertion");
        findings.add(
            &path.member(name).member("lifetime_seconds"),
            Advice::AssertionLongLived(seconds),
        );
    }
    findings.finish()
}

/// What was found so far.
struct Findings<'d> {
    document: &'d Document,
    /// With the place of each in the document.
    hints: Vec<(Vec<usize>, Hint)>,
}

impl Findings<'_> {
    fn add(&mut self, path: &Path<'_>, advice: Advice) {
        let hint = Hint {
            path: path.to_string(),
            advice,
        };
        self.hints.push((path.position(self.document), hint));
    }

    fn finish(mut self) -> Vec<Hint> {
        // Stable: what stands in one place keeps the order in which it was found.
        self.hints.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.hints.into_iter().map(|(_, hint)| hint).collect()
    }
}

/// Ours: what is sent to an agent at once needs a minute, and no clock is off by more than a few.
const LONG_LIFETIME_SECONDS: u32 = 900;
