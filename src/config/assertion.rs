//! The filter's own assertion: `inbound.forward.assertion`.

use crate::assertion::{ALWAYS_THERE, Assertion, Settings};
use crate::config::header::{HeaderOwners, own_header};
use crate::config::problem::{ProviderProblem, RuleProblem, ShapeProblem};
use crate::config::reader::{Node, distinct};
use crate::config::secret::{present, secret};
use crate::config::text::text;
use crate::excerpt::Excerpt;
use crate::jwks::{Algorithm, MAX_KID_BYTES};
use crate::matcher::PathExact;
use crate::policy::{API_KEY_ISSUER, BEARER_TOKEN_ISSUER, MTLS_ISSUER};
use crate::signer::{SIGNING, SigningKey};

/// Reads `assertion`, and takes its header.
pub(super) fn assertion(node: &Node<'_>, owners: &mut HeaderOwners) -> Option<Assertion> {
    let assertion = node.object(&[
        "header",
        "keys",
        "issuer",
        "audience",
        "claims",
        "lifetime_seconds",
        "jwks_path",
    ])?;
    let header = own_header(&assertion, "header", DEFAULT_HEADER, owners);
    let keys = assertion.required("keys").and_then(|node| keys(&node));
    let issuer = assertion.required("issuer").and_then(|node| issuer(&node));
    let audience = assertion.required("audience").and_then(|node| text(&node));
    let claims = assertion.list("claims", distinct(claim));
    let lifetime_seconds = assertion.or("lifetime_seconds", DEFAULT_LIFETIME_SECONDS, |node| {
        node.integer(MIN_LIFETIME_SECONDS..=MAX_LIFETIME_SECONDS)
    });
    let jwks_path = assertion.or("jwks_path", None, |node| match PathExact::parse(node.text()?) {
        Ok(_) => node.text().map(|path| Some(path.to_owned())),
        Err(error) => node.refuse(RuleProblem::Path(error)),
    });
    let (keys, lacks_key) = keys?;
    Some(Assertion::new(Settings {
        header: header?,
        keys,
        lacks_key,
        issuer: issuer?,
        audience: audience?,
        claims: claims?,
        lifetime_seconds: lifetime_seconds?,
        jwks_path: jwks_path?,
    }))
}

/// The keys that are there, and whether one is not.
pub(super) fn keys(node: &Node<'_>) -> Option<(Vec<SigningKey>, bool)> {
    let mut kids: Vec<String> = Vec::new();
    let keys = node.non_empty_list(|node| {
        let entry = node.object(&["kid", "alg", "key"])?;
        let kid = entry.required("kid").and_then(|node| match node.text()? {
            "" => node.refuse(ShapeProblem::EmptyText),
            kid if kid.len() > MAX_KID_BYTES => node.refuse(ProviderProblem::KidTooLong(kid.len())),
            kid if kids.iter().any(|other| other == kid) => node.refuse(RuleProblem::KidTwice),
            kid => Some(kid),
        });
        kids.extend(kid.map(str::to_owned));
        let algorithm = entry.or("alg", Algorithm::Es256, |node| {
            let name = node.text()?;
            let algorithm = Algorithm::from_name(name).filter(|algorithm| SIGNING.contains(algorithm));
            algorithm.or_else(|| node.refuse(RuleProblem::AlgorithmNotSigned(Excerpt::new(name))))
        });
        let key = entry.required("key")?;
        let found = secret(&key);
        let (kid, algorithm) = (kid?, algorithm?);
        found?.and_then(
            |text| match SigningKey::parse(text.expose(), algorithm, Some(kid)) {
                Ok(signing) => Some(signing),
                Err(error) => key.refuse(RuleProblem::SigningKey(error)),
            },
        )
    })?;
    if keys.len() > MAX_KEYS {
        return node.refuse(RuleProblem::TooManySigningKeys);
    }
    Some(present(keys))
}

fn issuer(node: &Node<'_>) -> Option<String> {
    let issuer = text(node)?;
    let reserved = [API_KEY_ISSUER, BEARER_TOKEN_ISSUER, MTLS_ISSUER];
    match reserved.into_iter().find(|reserved| *reserved == issuer) {
        Some(reserved) => node.refuse(ProviderProblem::IssuerReserved(reserved)),
        None => Some(issuer),
    }
}

fn claim(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    match name {
        "" => node.refuse(ShapeProblem::EmptyText),
        _ if ALWAYS_THERE.contains(&name) => node.refuse(RuleProblem::ClaimAsserted),
        _ => Some(name.to_owned()),
    }
}

const DEFAULT_HEADER: &str = "x-agent-assertion";
const DEFAULT_LIFETIME_SECONDS: u32 = 60;
/// Ours: what waits for less than this on its way has no clock that is good enough.
const MIN_LIFETIME_SECONDS: i64 = 10;
/// Ours: a day, for messages that wait in a queue.
const MAX_LIFETIME_SECONDS: i64 = 86_400;
/// Ours: one that signs, one that did, one that will.
const MAX_KEYS: usize = 4;
