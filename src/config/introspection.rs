//! Who is asked what opaque tokens mean: `inbound.introspection`.

use std::collections::HashMap;

use crate::config::declared::Declared;
use crate::config::endpoint::endpoint;
use crate::config::oauth::Clients;
use crate::config::problem::{OauthProblem, ProviderProblem};
use crate::config::providers::{
    DEFAULT_PEER_CLAIM, LONGEST_NAME, RESERVED_ISSUERS, audiences, peer_claim, scope_claims,
};
use crate::config::reader::{Node, Object, all};
use crate::config::secret::Found;
use crate::config::text::text;
use crate::policy::inbound::Introspection;

/// Reads `introspection`, in the order of the document; its peers are not known yet.
pub(super) fn introspections(
    inbound: &Object<'_>,
    declared: &Declared<'_>,
    clients: &Clients<'_>,
) -> Option<Vec<Introspection>> {
    let Some(node) = inbound.optional("introspection") else {
        return Some(Vec::new());
    };
    all(node
        .members()?
        .into_iter()
        .map(|(name, node)| introspection(name, &node, declared, clients)))
}

fn introspection(
    name: &str,
    node: &Node<'_>,
    declared: &Declared<'_>,
    clients: &Clients<'_>,
) -> Option<Introspection> {
    let mut is_named = node.check_name(name, LONGEST_NAME, "_-");
    if declared.is_provider(name) {
        is_named = node.refuse(OauthProblem::NameOfProvider);
    }
    let introspection = node.object(MEMBERS)?;
    let endpoint = introspection
        .required("endpoint")
        .and_then(|node| endpoint(&node));
    let client = introspection
        .required("client")
        .and_then(|node| clients.find(&node));
    let issuer = introspection.or("issuer", None, |node| {
        let issuer = text(&node)?;
        unreserved(&node, &issuer).map(|()| Some(issuer))
    });
    // Without an issuer its callers are told by the name.
    if !introspection.has("issuer") && unreserved(node, name).is_none() {
        is_named = None;
    }
    let audiences = audiences(&introspection);
    let peer_claim = peer_claim(&introspection, DEFAULT_PEER_CLAIM);
    let scope_claims = scope_claims(&introspection);
    let cache_seconds = introspection.or("cache_seconds", DEFAULT_CACHE_SECONDS, |node| {
        node.integer(0..=MAX_CACHE_SECONDS)
    });
    is_named?;
    all_of!(
        endpoint,
        client,
        issuer,
        audiences,
        peer_claim,
        scope_claims,
        cache_seconds
    );
    Some(Introspection {
        name: name.to_owned(),
        endpoint,
        client: Found::there(client),
        issuer: issuer.map(Into::into),
        audiences,
        peer_claim,
        peers: HashMap::new(),
        scope_claims,
        cache_seconds,
    })
}

/// Refuses what stands for a kind of credential that is no token.
fn unreserved(node: &Node<'_>, issuer: &str) -> Option<()> {
    match RESERVED_ISSUERS.into_iter().find(|reserved| *reserved == issuer) {
        Some(reserved) => node.refuse(ProviderProblem::IssuerReserved(reserved)),
        None => Some(()),
    }
}

const MEMBERS: &[&str] = &[
    "endpoint",
    "client",
    "issuer",
    "audiences",
    "insecure_any_audience",
    "peer_claim",
    "scope_claims",
    "cache_seconds",
];
const DEFAULT_CACHE_SECONDS: u32 = 60;
/// Ours: for so long a token that was revoked is taken for good at the most.
const MAX_CACHE_SECONDS: i64 = 3_600;
