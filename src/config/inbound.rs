//! The inbound half: `inbound`.

use std::collections::HashMap;
use std::rc::Rc;

use crate::assertion::Assertion;
use crate::config::agent_card::{Callers, agent_card, serve};
use crate::config::declared::Declared;
use crate::config::forward::{always_owned, errors, forward};
use crate::config::introspection::introspections;
use crate::config::keys::From;
use crate::config::locations::{Locations, api_key_locations};
use crate::config::oauth::Clients;
use crate::config::peers::peers;
use crate::config::providers::{Provider, providers};
use crate::config::published::published;
use crate::config::reader::{Node, Object};
use crate::config::resources::resources;
use crate::config::rules::rules;
use crate::config::sorted;
use crate::config::surroundings::Surroundings;
use crate::config::totp::{SecondFactor, scope, second_factor};
use crate::jwks::KeySets;
use crate::jwt::{self, Verifier};
use crate::keys::{Source, WaitLimits};
use crate::policy::inbound::{
    self, AmbiguousPaths, ApiKeys, Asked, CorsPreflight, Forward, Inbound, Introspection, Peer, Totp,
};
use crate::policy::location::Location;
use crate::policy::rule::{Action, Rule};
use crate::policy::{ErrorStyle, KeyPlan, OwnedHeaders, Published};

/// The inbound half, and what the whole policy has of it.
#[derive(Debug)]
pub(super) struct InboundHalf {
    /// The half itself.
    pub(super) inbound: Inbound,
    /// Where the keys of its providers come from.
    pub(super) keys: KeyPlan,
    /// The headers that only the filter writes.
    pub(super) owned_headers: OwnedHeaders,
    /// How refusals are worded.
    pub(super) errors: ErrorStyle,
}

/// Reads `inbound`.
pub(super) fn inbound(node: &Node<'_>, clients: &Clients<'_>) -> Option<InboundHalf> {
    let inbound = node.object(MEMBERS)?;
    let declared = Declared::new(&inbound);

    let mut locations = Locations::default();
    let api_key_locations = api_key_locations(&inbound, &mut locations);
    let SecondFactor {
        totp,
        code,
        replay,
        short_seeds,
        has_shared_seeds,
    } = second_factor(&inbound, &mut locations.headers);
    let forward = forward(&inbound, &mut locations.headers);
    let providers = providers(&inbound, &mut locations);
    let introspections = introspections(&inbound, &declared, clients);
    let peers = peers(&inbound, &declared, short_seeds);
    // A gateway may have checked the code.
    let has_seeds = declared.totp_seeds || declared.assertions || has_shared_seeds;
    // A rule accepts API keys only where a peer has one.
    let api_keys_are_in_use = declared.api_keys || inbound.has("api_key");
    if declared.bearer_tokens {
        locations.add_static_tokens();
    }
    if declared.has_introspections() {
        locations.add_opaque_tokens();
    }
    let owned_headers = match (&forward, &providers) {
        (Some((forward, assertion)), Some(providers)) => {
            owned_headers(forward, assertion.as_ref(), providers)
        }
        _ => OwnedHeaders::default(),
    };
    let rules = rules(
        &inbound,
        &Surroundings {
            declared: &declared,
            has_seeds,
            code,
            replay,
            has_shared_seeds,
            validates_certificates: validates_certificates(&inbound).unwrap_or(true),
            owned_headers: owned_headers.clone(),
        },
    );
    let ambiguous_paths = inbound.or("ambiguous_paths", AmbiguousPaths::Reject, |node| {
        node.choice(&[
            ("reject", Some(AmbiguousPaths::Reject)),
            ("raw", Some(AmbiguousPaths::Raw)),
        ])
    });
    let cors_preflight = inbound.or("cors_preflight", CorsPreflight::Authenticate, |node| {
        node.choice(&[
            ("authenticate", Some(CorsPreflight::Authenticate)),
            ("pass", Some(CorsPreflight::Pass)),
        ])
    });
    let has_assertion = inbound.node().document().member("forward");
    let has_assertion = has_assertion.is_some_and(|forward| forward.member("assertion").is_some());
    let card = agent_card(&inbound, &declared, has_assertion);
    let errors = errors(&inbound);
    let resources = resources(&inbound);
    let limits = limits(&inbound);

    all_of!(
        providers,
        introspections,
        peers,
        forward,
        totp,
        rules,
        limits,
        errors,
        api_key_locations,
        ambiguous_paths,
        cors_preflight,
        card
    );
    let (forward, assertion) = forward;
    let mut by_token = peers.by_token;
    let introspections = introspections.into_iter().map(|introspection| Introspection {
        peers: by_token.remove(&introspection.name).unwrap_or_default(),
        ..introspection
    });
    let introspections: Vec<Introspection> = introspections.collect();
    let accepts_certificates = rules.iter().any(|rule| match &rule.action {
        Action::Authenticate(accept, _) => accept.mtls,
        Action::Deny | Action::Public => false,
    });
    let totp = Totp {
        is_asked: rules.iter().any(|rule| rule.replay().is_some()),
        scope: scope(&errors.realm, &code?, &providers),
        ..totp
    };
    let keys = key_plan(&providers, limits.waits);
    let (verifications, providers) = with_peers(providers, by_token);
    // Issuers and the limit were checked where they stand.
    let tokens = Verifier::new(verifications, limits.max_token_bytes).ok()?;
    let mut card = card;
    let token_locations = locations.into_tokens();
    let api_key_locations: Vec<Location> = api_key_locations
        .into_iter()
        .filter(|_| api_keys_are_in_use)
        .collect();
    let served = std::mem::take(&mut card.served);
    let card = card.told(&Callers {
        providers: &providers,
        introspections: &introspections,
        token_locations: &token_locations,
        api_key_locations: &api_key_locations,
        keys: &keys,
    });
    let mut half = Inbound {
        tokens,
        providers,
        introspections,
        token_locations,
        bearer_tokens: peers.by_bearer_token,
        lacks_bearer_token: peers.lacks_bearer_token,
        api_keys: ApiKeys {
            locations: api_key_locations,
            keys: peers.by_api_key,
            lacks_key: peers.lacks_api_key,
        },
        principals: accepts_certificates.then_some(peers.by_principal),
        totp,
        ambiguous_paths,
        cors_preflight,
        path_marks: path_marks(&rules),
        asked: asked(&rules),
        rules: rules.into(),
        forward,
        // Without them an error was reported where they stand.
        resources: resources.unwrap_or_default(),
        published: Published::default(),
        assertion,
        card,
        token_cache_entries: limits.token_cache_entries,
    };
    half.published = published(&inbound, &half);
    serve(&inbound, served, &mut half)?;
    Some(InboundHalf {
        inbound: half,
        keys,
        owned_headers,
        errors,
    })
}

/// Reads `mtls`: the operator's word for what the proxy does not tell.
fn validates_certificates(inbound: &Object<'_>) -> Option<bool> {
    let mtls = inbound.section("mtls", &["listener_validates_client_certificates"])?;
    match mtls.is_mistyped("listener_validates_client_certificates") {
        true => None,
        false => mtls.flag("listener_validates_client_certificates"),
    }
}

/// What `limits` says.
struct Limits {
    max_token_bytes: usize,
    token_cache_entries: usize,
    waits: WaitLimits,
}

fn limits(inbound: &Object<'_>) -> Option<Limits> {
    let limits = inbound.section(
        "limits",
        &[
            "max_token_bytes",
            "token_cache_entries",
            "key_wait_seconds",
            "waiting_requests",
        ],
    )?;
    let max_token_bytes = limits.or("max_token_bytes", DEFAULT_MAX_TOKEN_BYTES, |node| {
        node.integer(1..=MAX_TOKEN_BYTES)
    });
    let token_cache_entries = limits.or("token_cache_entries", DEFAULT_TOKEN_CACHE_ENTRIES, |node| {
        node.integer(0..=MAX_TOKEN_CACHE_ENTRIES)
    });
    let waits = WaitLimits::default();
    let seconds = limits.or("key_wait_seconds", waits.seconds, |node| {
        node.integer(0..=MAX_KEY_WAIT_SECONDS)
    });
    let requests = limits.or("waiting_requests", waits.requests, |node| {
        node.integer(0..=MAX_WAITING_REQUESTS)
    });
    Some(Limits {
        max_token_bytes: max_token_bytes?,
        token_cache_entries: token_cache_entries?,
        waits: WaitLimits {
            seconds: seconds?,
            requests: requests?,
        },
    })
}

/// What rules ask of claims.
fn asked(rules: &[Rule]) -> Asked {
    let mut asked = Asked::default();
    for rule in rules {
        let Action::Authenticate(_, require) = &rule.action else {
            continue;
        };
        asked.audiences |= !require.audiences.is_empty();
        for (claim, _) in &require.claims {
            sorted::insert(&mut asked.claims, claim.outermost().to_owned());
        }
    }
    asked
}

fn key_plan(providers: &[Provider], waits: WaitLimits) -> KeyPlan {
    let mut plan = KeyPlan {
        waits,
        ..KeyPlan::default()
    };
    let mut written = Vec::with_capacity(providers.len());
    for (index, provider) in providers.iter().enumerate() {
        written.push(match &provider.keys {
            From::Written(keys) => Some(Rc::clone(keys)),
            From::Fetched(location, cache) => {
                let source = Source {
                    provider: provider.verification.name.clone(),
                    issuer: provider.verification.issuer.clone(),
                    location: location.clone(),
                    cache: *cache,
                };
                plan.sources.push((index, source));
                None
            }
        });
    }
    plan.written = KeySets::new(written);
    plan
}

/// Parts what verifies tokens from what they mean, which takes the peers in.
fn with_peers(
    providers: Vec<Provider>,
    mut by_token: HashMap<String, HashMap<String, Rc<Peer>>>,
) -> (Vec<jwt::Provider>, Vec<inbound::Provider>) {
    let part = |provider: Provider| {
        let name = provider.verification.name.clone();
        let meaning = inbound::Provider {
            peers: by_token.remove(&name).unwrap_or_default(),
            name,
            issuer: provider.verification.issuer.as_str().into(),
            lacks_keys: provider.lacks_keys,
            peer_claim: provider.peer_claim,
            scope_claims: provider.scope_claims,
            is_assertion: provider.is_assertion,
            forwards_token: provider.forwards_token,
            payload_header: provider.payload_header.map(Into::into),
            claim_headers: provider
                .claim_headers
                .into_iter()
                .map(|(header, claim)| (header.into(), claim))
                .collect(),
        };
        (provider.verification, meaning)
    };
    providers.into_iter().map(part).unzip()
}

/// The marks that paths of the rules name, each once.
fn path_marks(rules: &[Rule]) -> Vec<u8> {
    let mut marks = Vec::new();
    for mark in rules.iter().flat_map(|rule| rule.condition.path_marks()) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks
}

fn owned_headers(forward: &Forward, assertion: Option<&Assertion>, providers: &[Provider]) -> OwnedHeaders {
    let identity = [&forward.peer, &forward.sub, &forward.iss, &forward.method]
        .into_iter()
        .flatten()
        .map(|name| &**name);
    let claims = providers
        .iter()
        .flat_map(|provider| provider.claim_headers.iter().map(|(name, _)| name.as_str()));
    let payloads = providers
        .iter()
        .filter_map(|provider| provider.payload_header.as_deref());
    let named = identity
        .chain(claims)
        .chain(payloads)
        .chain(assertion.map(|assertion| &*assertion.header))
        .map(|name| name.as_bytes().to_vec());
    OwnedHeaders::new(named.chain(always_owned()))
}

const MEMBERS: &[&str] = &[
    "providers",
    "introspection",
    "peers",
    "api_key",
    "mtls",
    "totp",
    "ambiguous_paths",
    "cors_preflight",
    "rules",
    "forward",
    "agent_card",
    "protected_resources",
    "errors",
    "limits",
];
/// Ours: the tokens of real providers stay below 4 KiB, but for those with hundreds of groups.
const DEFAULT_MAX_TOKEN_BYTES: usize = 8192;
/// Ours: longer than clients have patience.
const MAX_KEY_WAIT_SECONDS: i64 = 60;
/// Ours: each costs a stream's memory.
const MAX_WAITING_REQUESTS: i64 = 100_000;
/// As [`crate::jwt::MAX_TOKEN_BYTES`] has it.
const MAX_TOKEN_BYTES: i64 = 65536;
const DEFAULT_TOKEN_CACHE_ENTRIES: usize = 10_000;
/// Ours: beyond it the bound in bytes counts first, whatever the tokens.
const MAX_TOKEN_CACHE_ENTRIES: i64 = 100_000;
