//! The issuers of tokens: `inbound.providers`.

use std::collections::BTreeMap;

use crate::claims::ClaimPath;
use crate::config::document::Document;
use crate::config::forward::{claim_headers, claim_path};
use crate::config::header::HeaderOwners;
use crate::config::keys::keys;
use crate::config::problem::{ProviderProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all, distinct, plain_text};
use crate::config::text::text;
use crate::config::warning::Caution;
use crate::excerpt::Excerpt;
use crate::jwt::{self, Audiences, MediaType, SubjectPattern};
use crate::policy::{API_KEY_ISSUER, BEARER_TOKEN_ISSUER};

/// A provider, before it is known which peers its tokens belong to.
#[derive(Debug)]
pub(super) struct Provider {
    /// How its tokens are verified.
    pub(super) verification: jwt::Provider,
    /// Whether a secret that its tokens are signed with is not there.
    pub(super) lacks_keys: bool,
    /// Which claim names the peer.
    pub(super) peer_claim: ClaimPath,
    /// Which claims hold scopes.
    pub(super) scope_claims: Vec<ClaimPath>,
    /// Whether its tokens go to the upstream.
    pub(super) forwards_token: bool,
    /// Headers that carry claims.
    pub(super) claim_headers: Vec<(String, ClaimPath)>,
}

/// Reads `providers`, in the order of the document. Headers of claims must not be those that have an owner.
pub(super) fn providers(inbound: &Object<'_>, owners: &HeaderOwners) -> Option<Vec<Provider>> {
    let Some(node) = inbound.optional("providers") else {
        return Some(Vec::new());
    };
    let mut issuers = BTreeMap::new();
    all(node
        .members()?
        .into_iter()
        .map(|(name, node)| provider(name, &node, owners, &mut issuers)))
}

fn provider<'c>(
    name: &'c str,
    node: &Node<'c>,
    owners: &HeaderOwners,
    issuers: &mut BTreeMap<String, &'c str>,
) -> Option<Provider> {
    let is_named = node.check_name(name, LONGEST_NAME, "_-");
    let provider = node.object(MEMBERS)?;
    refuse_later_members(&provider);
    let issuer = provider
        .required("issuer")
        .and_then(|node| issuer(&node, name, issuers));
    let audiences = audiences(&provider);
    let keys = keys(&provider);
    let types = provider.list("typ", distinct(|node| Some(MediaType::new(node.text()?))));
    let clock_skew_seconds = provider.or("clock_skew_seconds", DEFAULT_CLOCK_SKEW_SECONDS, |node| {
        node.integer(0..=MAX_CLOCK_SKEW_SECONDS)
    });
    let max_lifetime_seconds = provider.or("max_lifetime_seconds", None, |node| {
        node.integer(1..=u32::MAX.into()).map(Some)
    });
    let required_claims = provider.or("required_claims", vec!["sub".to_owned()], |node| {
        node.list(distinct(plain_text))
    });
    let subjects = provider.list("subjects", |node| subject(&node));
    let scope_claims = match provider.optional("scope_claims") {
        Some(node) => node.list(distinct(claim_path)),
        None => all(DEFAULT_SCOPE_CLAIMS
            .iter()
            .map(|claim| ClaimPath::parse(claim).ok())),
    };
    let peer_claim = match provider.optional("peer_claim") {
        Some(node) => claim_path(&node),
        None => ClaimPath::parse(DEFAULT_PEER_CLAIM).ok(),
    };
    let forwards_token = provider.flag("forward");
    let claim_headers = provider.or("claim_to_headers", Vec::new(), |node| {
        claim_headers(&node, owners)
    });

    is_named?;
    let keys = keys?;
    Some(Provider {
        verification: jwt::Provider {
            name: name.to_owned(),
            issuer: issuer?,
            audiences: audiences?,
            keys: keys.set,
            algorithms: keys.algorithms,
            types: types?,
            clock_skew_seconds: clock_skew_seconds?,
            max_lifetime_seconds: max_lifetime_seconds?,
            required_claims: required_claims?,
            subjects: subjects?,
        },
        lacks_keys: keys.lacks_some,
        peer_claim: peer_claim?,
        scope_claims: scope_claims?,
        forwards_token: forwards_token?,
        claim_headers: claim_headers?,
    })
}

/// A byte-for-byte name: two providers of one issuer could not be told apart.
fn issuer<'c>(node: &Node<'c>, provider: &'c str, issuers: &mut BTreeMap<String, &'c str>) -> Option<String> {
    let issuer = text(node)?;
    if let Some(reserved) = RESERVED_ISSUERS.into_iter().find(|reserved| *reserved == issuer) {
        return node.refuse(ProviderProblem::IssuerReserved(reserved));
    }
    if let Some(first) = issuers.get(&issuer) {
        return node.refuse(ProviderProblem::IssuerTwice(Excerpt::new(first)));
    }
    issuers.insert(issuer.clone(), provider);
    Some(issuer)
}

fn audiences(provider: &Object<'_>) -> Option<Audiences> {
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

fn refuse_later_members(provider: &Object<'_>) {
    provider.not_yet(&["forward_payload_header"]);
    provider.not_yet_unless_empty(&["from_cookies", "insecure_from_params"]);
    provider.not_yet_unless_off(&["assertion"]);
    if let Some(node) = provider.optional("from_headers")
        && !is_default_place(node.document())
    {
        node.refuse::<()>(ShapeProblem::NotSupportedYet);
    }
}

/// `[{name: authorization, value_prefix: "Bearer "}]`.
fn is_default_place(places: &Document) -> bool {
    let Document::List(places) = places else {
        return false;
    };
    let [place @ Document::Object(members)] = places.as_slice() else {
        return false;
    };
    let is = |name: &str, expected: &str| matches!(place.member(name), Some(Document::Text(text)) if text.expose() == expected);
    members.len() == 2 && is("name", "authorization") && is("value_prefix", "Bearer ")
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
const RESERVED_ISSUERS: [&str; 2] = [API_KEY_ISSUER, BEARER_TOKEN_ISSUER];
/// Ours: a name is a label of metrics.
const LONGEST_NAME: usize = 64;
const DEFAULT_CLOCK_SKEW_SECONDS: u16 = 60;
/// Ours: beyond five minutes it is a clock that must be mended.
const MAX_CLOCK_SKEW_SECONDS: i64 = 300;
const DEFAULT_PEER_CLAIM: &str = "sub";
/// RFC 8693 §4.2, and what Entra ID and Okta use.
const DEFAULT_SCOPE_CLAIMS: [&str; 2] = ["scope", "scp"];
