//! The issuers of tokens: `inbound.providers`.

use crate::assertion;
use crate::claims::ClaimPath;
use crate::config::forward::{claim_headers, claim_path};
use crate::config::header::{HeaderOwners, Use, header};
use crate::config::keys::{From, keys};
use crate::config::locations::{Locations, token_locations};
use crate::config::problem::{ProviderProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all, distinct, plain_text};
use crate::config::sorted;
use crate::config::text::text;
use crate::config::warning::Caution;
use crate::excerpt::Excerpt;
use crate::jwt::{self, Audiences, MediaType, SubjectPattern};
use crate::policy::{API_KEY_ISSUER, BEARER_TOKEN_ISSUER, MTLS_ISSUER};

/// A provider, before it is known which peers its tokens belong to.
#[derive(Debug)]
pub(super) struct Provider {
    /// How its tokens are verified.
    pub(super) verification: jwt::Provider,
    /// Its keys.
    pub(super) keys: From,
    /// Whether a secret that its tokens are signed with is not there.
    pub(super) lacks_keys: bool,
    /// Which claim names the peer.
    pub(super) peer_claim: ClaimPath,
    /// Which claims hold scopes.
    pub(super) scope_claims: Vec<ClaimPath>,
    /// Whether its tokens are the assertions of a peergate before this one.
    pub(super) is_assertion: bool,
    /// Whether its tokens go to the upstream.
    pub(super) forwards_token: bool,
    /// The header that carries the token's payload.
    pub(super) payload_header: Option<String>,
    /// Headers that carry claims.
    pub(super) claim_headers: Vec<(String, ClaimPath)>,
}

/// Reads `providers`, in the order of the document. Headers of claims must not be those that have an owner, and places
/// of tokens are owned.
pub(super) fn providers(inbound: &Object<'_>, locations: &mut Locations) -> Option<Vec<Provider>> {
    let Some(node) = inbound.optional("providers") else {
        return Some(Vec::new());
    };
    let members = node.members()?;
    let mut objects = Vec::with_capacity(members.len());
    for (index, (name, node)) in members.iter().enumerate() {
        let is_named = node.check_name(name, LONGEST_NAME, "_-").is_some();
        let object = node.object(MEMBERS);
        let is_placed = object
            .as_ref()
            .and_then(|provider| token_locations(provider, index, locations))
            .is_some();
        objects.push((*name, object, is_named && is_placed));
    }
    // Behind the places of all: none may be the header of a claim.
    let mut issuers = Vec::new();
    all(objects.iter().map(|(name, object, is_good)| {
        let provider = provider(name, object.as_ref()?, &locations.headers, &mut issuers);
        provider.filter(|_| *is_good)
    }))
}

fn provider<'c>(
    name: &'c str,
    provider: &Object<'c>,
    owners: &HeaderOwners,
    issuers: &mut Vec<(String, &'c str)>,
) -> Option<Provider> {
    let is_assertion = provider.flag("assertion");
    let default_peer_claim = match is_assertion {
        // Callers of two issuers may have one `sub`; the gateway tells whose peers they are.
        Some(true) => assertion::PEER,
        Some(false) | None => DEFAULT_PEER_CLAIM,
    };
    let issuer = provider
        .required("issuer")
        .and_then(|node| issuer(&node, name, issuers));
    let audiences = audiences(provider);
    let keys = keys(provider, issuer.as_deref());
    let types = match (provider.optional("typ"), is_assertion) {
        (None, Some(true)) => Some(vec![MediaType::new(assertion::TYPE)]),
        _ => provider.list("typ", distinct(|node| Some(MediaType::new(node.text()?)))),
    };
    let default_skew_seconds = match is_assertion {
        Some(true) => ASSERTION_CLOCK_SKEW_SECONDS,
        Some(false) | None => DEFAULT_CLOCK_SKEW_SECONDS,
    };
    let clock_skew_seconds = provider.or("clock_skew_seconds", default_skew_seconds, |node| {
        node.integer(0..=MAX_CLOCK_SKEW_SECONDS)
    });
    let max_lifetime_seconds = provider.or("max_lifetime_seconds", None, |node| {
        node.integer(1..=u32::MAX.into()).map(Some)
    });
    let required_claims = provider.or("required_claims", vec!["sub".to_owned()], |node| {
        node.list(distinct(plain_text))
    });
    let subjects = provider.list("subjects", |node| subject(&node));
    let scope_claims = scope_claims(provider);
    let peer_claim = peer_claim(provider, default_peer_claim);
    let forwards_token = provider.flag("forward");
    let mut owners = owners.clone();
    let payload_header = provider.or("forward_payload_header", None, |node| {
        let name = header(&node, Use::Own)?;
        owners.claim_at(&node, name).map(Some)
    });
    let claim_headers = provider.or("claim_to_headers", Vec::new(), |node| {
        claim_headers(&node, &mut owners)
    });

    all_of!(
        issuer,
        audiences,
        keys,
        types,
        clock_skew_seconds,
        max_lifetime_seconds,
        required_claims,
        subjects,
        scope_claims,
        peer_claim,
        is_assertion,
        forwards_token,
        payload_header,
        claim_headers
    );
    Some(Provider {
        verification: jwt::Provider {
            name: name.to_owned(),
            issuer,
            audiences,
            is_symmetric: keys.is_symmetric,
            algorithms: keys.algorithms,
            types,
            clock_skew_seconds,
            max_lifetime_seconds,
            required_claims,
            subjects,
        },
        lacks_keys: keys.lacks_some,
        keys: keys.from,
        peer_claim,
        scope_claims,
        is_assertion,
        forwards_token,
        payload_header,
        claim_headers,
    })
}

/// A byte-for-byte name: two providers of one issuer could not be told apart.
fn issuer<'c>(node: &Node<'c>, provider: &'c str, issuers: &mut Vec<(String, &'c str)>) -> Option<String> {
    let issuer = text(node)?;
    if let Some(reserved) = RESERVED_ISSUERS.into_iter().find(|reserved| *reserved == issuer) {
        return node.refuse(ProviderProblem::IssuerReserved(reserved));
    }
    match sorted::first(issuers, issuer.clone(), provider) {
        first if first == provider => Some(issuer),
        first => node.refuse(ProviderProblem::IssuerTwice(Excerpt::new(first))),
    }
}

/// Reads `scope_claims`.
pub(super) fn scope_claims(provider: &Object<'_>) -> Option<Vec<ClaimPath>> {
    match provider.optional("scope_claims") {
        Some(node) => node.list(distinct(claim_path)),
        None => all(DEFAULT_SCOPE_CLAIMS
            .iter()
            .map(|claim| ClaimPath::parse(claim).ok())),
    }
}

/// Reads `peer_claim`.
pub(super) fn peer_claim(provider: &Object<'_>, default: &str) -> Option<ClaimPath> {
    match provider.optional("peer_claim") {
        Some(node) => claim_path(&node),
        None => ClaimPath::parse(default).ok(),
    }
}

/// Reads `audiences`, or the word that any will do.
pub(super) fn audiences(provider: &Object<'_>) -> Option<Audiences> {
    let any = provider.insecure_flag("insecure_any_audience", Caution::AnyAudience)?;
    match provider.optional("audiences") {
        Some(_) if any => provider.node().refuse(ShapeProblem::Excluding(vec![
            "audiences",
            "insecure_any_audience",
        ])),
        Some(node) => node.non_empty_list(distinct(text)).map(Audiences::OneOf),
        None if any => Some(Audiences::Any),
        None => provider.refuse_missing("audiences", ProviderProblem::AudiencesMissing),
    }
}

/// Reads one of `{exact: …}`, `{prefix: …}` and `{suffix: …}`.
fn subject(node: &Node<'_>) -> Option<SubjectPattern> {
    let pattern = node.object(PATTERNS)?;
    let text = plain_text(&pattern.one_of(PATTERNS)?)?;
    Some(match (pattern.has("exact"), pattern.has("prefix")) {
        (true, _) => SubjectPattern::Exact(text),
        (_, true) => SubjectPattern::Prefix(text),
        _ => SubjectPattern::Suffix(text),
    })
}

const MEMBERS: &[&str] = &[
    "issuer",
    "audiences",
    "insecure_any_audience",
    "jwks",
    "algorithms",
    "typ",
    "clock_skew_seconds",
    "max_lifetime_seconds",
    "required_claims",
    "subjects",
    "scope_claims",
    "peer_claim",
    "from_headers",
    "from_cookies",
    "insecure_from_params",
    "forward",
    "forward_payload_header",
    "claim_to_headers",
    "assertion",
];
const PATTERNS: &[&str] = &["exact", "prefix", "suffix"];

/// What the filter names as the issuer of callers who come with another credential.
pub(super) const RESERVED_ISSUERS: [&str; 3] = [API_KEY_ISSUER, BEARER_TOKEN_ISSUER, MTLS_ISSUER];
/// Ours: a name is a label of metrics.
pub(super) const LONGEST_NAME: usize = 64;
const DEFAULT_CLOCK_SKEW_SECONDS: u16 = 60;
/// Ours: an assertion lives a minute, and vouches for a code. The proxies of a mesh have one clock, nearly.
const ASSERTION_CLOCK_SKEW_SECONDS: u16 = 5;
/// Ours: beyond five minutes it is a clock that must be mended.
const MAX_CLOCK_SKEW_SECONDS: i64 = 300;
pub(super) const DEFAULT_PEER_CLAIM: &str = "sub";
/// RFC 8693 §4.2, and what Entra ID and Okta use.
const DEFAULT_SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];
