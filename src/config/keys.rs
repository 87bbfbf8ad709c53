//! The keys of a provider: `jwks`, and the `algorithms` that go with them.
//!
//! Keys are either public ones, written down as a key set, or secrets that the issuer shares; a provider never has
//! both, so that no public key can serve as a secret.

use std::rc::Rc;
use std::slice;

use serde_json::Value;

use crate::config::key_source::{cache, location, refuse_fetching};
use crate::config::nearest::nearest;
use crate::config::problem::{ProviderProblem, ShapeProblem};
use crate::config::reader::{Node, Object, distinct, plain_text};
use crate::config::secret::{Found, present, secret};
use crate::config::warning::Caution;
use crate::excerpt::Excerpt;
use crate::jwks::{Algorithm, AlgorithmSet, KeySet, SecretError, SharedSecret};
use crate::keys::{CacheTimes, Location};
use crate::secret::Secret;

/// The keys of a provider, and what they may be used for.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) from: From,
    pub(super) algorithms: AlgorithmSet,
    /// Whether they are shared secrets.
    pub(super) is_symmetric: bool,
    /// Whether a shared secret is not there.
    pub(super) lacks_some: bool,
}

/// Where keys come from.
#[derive(Debug)]
pub(super) enum From {
    /// They are written down.
    Written(Rc<KeySet>),
    /// They are fetched.
    Fetched(Location, CacheTimes),
}

/// Reads `jwks` and `algorithms` of a provider.
pub(super) fn keys(provider: &Object<'_>, issuer: Option<&str>) -> Option<Keys> {
    let source = provider.required("jwks").and_then(|node| source(&node));
    let kind = source.as_ref().map(|(kind, _, _)| *kind);
    let listed = provider.or("algorithms", None, |node| {
        node.non_empty_list(distinct(|node| algorithm(node, kind)))
            .map(Some)
    });
    let (kind, jwks, node) = source?;
    let (written, missing) = match kind {
        Kind::Fetched => {
            let (location, cache) = (location(&jwks, issuer), cache(&jwks));
            let algorithms = listed?.unwrap_or_else(|| DEFAULT_ALGORITHMS.to_vec());
            return Some(Keys {
                from: From::Fetched(location?, cache?),
                algorithms: algorithms.into_iter().collect(),
                is_symmetric: false,
                lacks_some: false,
            });
        }
        Kind::Public => (key_set(&node), Some(Vec::new())),
        Kind::Shared => secrets(&node).unzip(),
    };
    refuse_fetching(&jwks)?;
    let (keys, missing, listed) = (written?, missing?, listed?);
    let served: Vec<Algorithm> = Algorithm::ALL
        .into_iter()
        .filter(|algorithm| keys.candidates(None, *algorithm).is_ok() || missing.contains(algorithm))
        .collect();
    let algorithms: Vec<Algorithm> = match (listed, kind) {
        (Some(listed), _) => listed,
        (None, Kind::Shared) => served.clone(),
        (None, Kind::Public | Kind::Fetched) => DEFAULT_ALGORITHMS.to_vec(),
    };
    if !algorithms.iter().any(|algorithm| served.contains(algorithm)) {
        let served = served.into_iter().map(Algorithm::name).collect();
        return provider.refuse_member("algorithms", ProviderProblem::NoKeyForAlgorithms(served));
    }
    Some(Keys {
        algorithms: algorithms.into_iter().collect(),
        is_symmetric: keys.is_symmetric(),
        lacks_some: !missing.is_empty(),
        from: From::Written(Rc::new(keys)),
    })
}

/// What kind of keys a provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key set that is written down.
    Public,
    /// Shared secrets.
    Shared,
    /// A key set that is fetched.
    Fetched,
}

fn source<'c>(node: &Node<'c>) -> Option<(Kind, Object<'c>, Node<'c>)> {
    let jwks = node.object(&["inline", "secrets", "discovery", "remote", "jwks_uri", "cache"])?;
    let source = jwks.one_of(&["inline", "secrets", "discovery", "remote"])?;
    let kind = match (jwks.has("inline"), jwks.has("secrets")) {
        (true, _) => Kind::Public,
        (_, true) => Kind::Shared,
        _ => Kind::Fetched,
    };
    Some((kind, jwks, source))
}

/// An algorithm by its name, if it goes with the keys.
fn algorithm(node: &Node<'_>, kind: Option<Kind>) -> Option<Algorithm> {
    let name = node.text()?;
    if LATER_ALGORITHMS.contains(&name) {
        return node.refuse(ShapeProblem::ValueNotSupportedYet(Excerpt::new(name)));
    }
    let Some(algorithm) = Algorithm::from_name(name) else {
        let known: Vec<&'static str> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
        return node.refuse(ProviderProblem::AlgorithmUnknown {
            name: Excerpt::new(name),
            nearest: nearest(name, known.iter().copied()),
            known,
        });
    };
    match kind {
        Some(Kind::Public | Kind::Fetched) if algorithm.is_symmetric() => {
            node.refuse(ProviderProblem::AlgorithmNeedsSecrets(algorithm))
        }
        Some(Kind::Shared) if !algorithm.is_symmetric() => {
            node.refuse(ProviderProblem::AlgorithmNeedsKeys(algorithm))
        }
        Some(_) | None => Some(algorithm),
    }
}

/// A JWK Set (RFC 7517 §5). What it holds besides its keys is not looked at.
fn key_set(node: &Node<'_>) -> Option<KeySet> {
    let entries = node.open_object()?.required("keys")?.list(Some)?;
    let Value::Object(document) = node.document().to_json() else {
        return None;
    };
    let keys = match KeySet::from_jwks(&document) {
        Ok(keys) => keys,
        Err(error) => return node.refuse(ProviderProblem::KeySet(error)),
    };
    if keys.is_empty() {
        let reason = keys.skipped().first().map(|skipped| skipped.reason.clone());
        return node.refuse(ProviderProblem::NoUsableKey(reason));
    }
    for entry in entries
        .iter()
        .filter(|entry| entry.document().member("d").is_some())
    {
        entry.warn(Caution::PrivateKey);
    }
    for skipped in keys.skipped() {
        if let Some(entry) = entries.get(skipped.index) {
            entry.warn(Caution::SkippedKey(skipped.reason.to_string()));
        }
    }
    Some(keys)
}

/// The secrets that are there, and the algorithms of those that are not.
fn secrets(node: &Node<'_>) -> Option<(KeySet, Vec<Algorithm>)> {
    let mut missing = Vec::new();
    let entries = node.non_empty_list(|node| {
        let (algorithm, secret) = shared_secret(&node)?;
        if matches!(secret, Found::Missing) {
            missing.push(algorithm);
        }
        Some(secret.map(|secret| (secret, node)))
    })?;
    let (entries, _) = present(entries);
    let (secrets, nodes): (Vec<SharedSecret>, Vec<Node<'_>>) = entries.into_iter().unzip();
    match KeySet::from_secrets(&secrets) {
        Ok(keys) => Some((keys, missing)),
        // Each was good by itself.
        Err(
            SecretError::NeverTried { index }
            | SecretError::NotSymmetric { index, .. }
            | SecretError::TooShort { index, .. }
            | SecretError::KidTooLong { index, .. },
        ) => nodes.get(index)?.refuse(ProviderProblem::TooManySecrets),
    }
}

fn shared_secret(node: &Node<'_>) -> Option<(Algorithm, Found<SharedSecret>)> {
    let entry = node.object(&["alg", "kid", "secret"])?;
    let algorithm = entry.required("alg").and_then(|node| {
        node.choice(&[
            ("HS256", Some(Algorithm::Hs256)),
            ("HS384", Some(Algorithm::Hs384)),
            ("HS512", Some(Algorithm::Hs512)),
        ])
    });
    let kid = entry.or("kid", None, |node| plain_text(&node).map(Some));
    let text = entry.required("secret").and_then(|node| secret(&node));
    let (text, algorithm, kid) = (text?, algorithm?, kid?);
    let Found::There(text) = text else {
        return Some((algorithm, Found::Missing));
    };
    let shared = SharedSecret {
        kid,
        algorithm,
        secret: Secret::new(text.expose().as_bytes().to_vec()),
    };
    match KeySet::from_secrets(slice::from_ref(&shared)) {
        Ok(_) => Some((algorithm, Found::There(shared))),
        Err(SecretError::TooShort { bytes, minimum, .. }) => {
            let algorithm = shared.algorithm;
            entry.refuse_member(
                "secret",
                ProviderProblem::SecretTooShort {
                    algorithm,
                    bytes,
                    minimum,
                },
            )
        }
        Err(SecretError::KidTooLong { bytes, .. }) => {
            entry.refuse_member("kid", ProviderProblem::KidTooLong(bytes))
        }
        // Neither can be: `alg` is an HMAC, and one secret is tried.
        Err(SecretError::NotSymmetric { .. } | SecretError::NeverTried { .. }) => None,
    }
}

/// What providers use; RS384 and its like are added where one does.
const DEFAULT_ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::Es256,
    Algorithm::EdDsa,
];

/// FIPS 204, as JOSE names it.
const LATER_ALGORITHMS: [&str; 3] = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];
