//! What may be shown of the headers that a filter writes: a credential never, whoever's it is.

use crate::findings::shortened;
use crate::policy::Policy;
use crate::policy::location::{AUTHORIZATION, Location};
use crate::policy::outbound::{ParameterValue, Rule};
use crate::policy::owned::is_same_header;
use crate::redact::{Clean, Redactor, printable};

/// Takes secrets out of what is told.
pub(super) struct Shown<'a> {
    /// Headers that hold credentials, in lower case.
    secret: Vec<String>,
    /// Knows the parameters of the query that do.
    urls: &'a Redactor,
    known: &'a Redactor,
}

impl<'a> Shown<'a> {
    pub(super) fn new(policy: &'a Policy, known: &'a Redactor) -> Self {
        let inbound = policy.inbound.as_ref();
        let outbound = policy.outbound.iter().flat_map(|outbound| outbound.rules.iter());
        let mut secret: Vec<String> = [AUTHORIZATION, "proxy-authorization", "cookie"]
            .map(str::to_owned)
            .into();
        if let Some(inbound) = inbound {
            secret.push(inbound.totp.header.clone());
            secret.extend(
                inbound
                    .locations()
                    .filter_map(Location::header)
                    .map(str::to_owned),
            );
            secret.extend(
                inbound
                    .assertion
                    .iter()
                    .map(|assertion| assertion.header.to_string()),
            );
            let payloads = inbound
                .providers
                .iter()
                .filter_map(|provider| provider.payload_header.as_deref());
            secret.extend(payloads.map(str::to_owned));
        }
        secret.extend(outbound.flat_map(of_headers));
        Self {
            secret,
            urls: &policy.errors.redactor,
            known,
        }
    }

    /// The last look at a text.
    pub(super) fn clean(&self, text: &str) -> String {
        let clean: Clean = self.known.clean(text.to_owned());
        clean.as_str().to_owned()
    }

    /// What may be shown of a header's value.
    pub(super) fn value(&self, name: &str, value: &[u8]) -> String {
        let is_secret = self
            .secret
            .iter()
            .any(|own| is_same_header(own.as_bytes(), name.as_bytes()));
        let shown = match (is_secret, name) {
            (true, _) => credential(value),
            (false, ":path" | "x-envoy-original-path" | "referer") => {
                text(&self.known.sanitize(&self.urls.sanitize(value)))
            }
            (false, _) => text(value),
        };
        self.clean(&shown)
    }
}

/// On one line, as it is where a terminal shows it so.
fn text(value: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(value) else {
        return printable(value, MAX_VALUE);
    };
    let mut shown = String::new();
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
        if shown.len() > MAX_VALUE {
            shown.push('…');
            break;
        }
    }
    shown
}

/// The scheme and the length; of what looks like a token the beginning.
fn credential(value: &[u8]) -> String {
    let space = value.iter().position(|byte| *byte == b' ');
    let parts = space.and_then(|space| value.split_at_checked(space));
    let is_scheme = |scheme: &[u8]| scheme.len() <= MAX_SCHEME && scheme.iter().all(u8::is_ascii_alphabetic);
    match parts {
        Some((scheme, rest)) if is_scheme(scheme) => {
            format!(
                "{} ({})",
                printable(scheme, MAX_SCHEME),
                shortened(rest.trim_ascii_start())
            )
        }
        Some(_) | None => format!("({})", shortened(value)),
    }
}

/// The headers that a rule puts on, or takes away.
fn of_headers(rule: &Rule) -> Vec<String> {
    let own = rule.headers.iter().map(|(name, _)| name.clone());
    let moved = rule.query_parameters.iter().filter_map(|(_, value)| match value {
        ParameterValue::Secret(_) => None,
        ParameterValue::FromHeader(header) => Some(header.clone()),
    });
    own.chain(moved)
        .chain(rule.query_to_header.iter().map(|moved| moved.to.clone()))
        .chain(rule.totp.iter().map(|totp| totp.header.clone()))
        .chain(
            rule.token
                .iter()
                .flat_map(|plan| plan.headers())
                .map(str::to_owned),
        )
        .collect()
}

/// Schemes are shorter.
const MAX_SCHEME: usize = 16;
/// Of a value that no credential stands in.
const MAX_VALUE: usize = 512;
