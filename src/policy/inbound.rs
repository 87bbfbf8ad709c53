//! The compiled inbound half: credentials, peers, rules, and what is forwarded.

use std::collections::HashMap;
use std::rc::Rc;

use crate::api_key::Credentials;
use crate::assertion::Assertion;
use crate::authority::Authority;
use crate::callout::Endpoint;
use crate::claims::ClaimPath;
use crate::jwt::{self, Audiences};
use crate::oauth::Client;
use crate::policy::Published;
use crate::policy::card::AgentCard;
use crate::policy::location::{Location, TokenLocation};
use crate::policy::resource::Resource;
use crate::policy::rule::Rule;
use crate::policy::rules::Rules;
use crate::spiffe::Patterns;
use crate::totp::{Ledger, Replay, Seed, Subject, Throttle};

/// The inbound half of a policy.
#[derive(Debug)]
pub struct Inbound {
    /// Verifies the tokens of all providers.
    pub tokens: jwt::Verifier,
    /// What each provider's tokens mean, in the verifier's order.
    pub providers: Vec<Provider>,
    /// Who is asked what opaque tokens mean.
    pub introspections: Vec<Introspection>,
    /// Where tokens stand. Empty where there are none: `Authorization` is the upstream's business then, not looked at
    /// and not removed.
    pub token_locations: Vec<TokenLocation>,
    /// Static bearer tokens.
    pub bearer_tokens: Credentials<Rc<Peer>>,
    /// Whether one of these is not there (`on_missing_secret: deny_rule`).
    pub lacks_bearer_token: bool,
    /// API keys and where they stand.
    pub api_keys: ApiKeys,
    /// The peers by the names in their certificates. `None`: no rule accepts these, and nobody asks for them.
    pub principals: Option<Patterns<Rc<Peer>>>,
    /// The second factor.
    pub totp: Totp,
    /// What becomes of paths that two servers could read in two ways.
    pub ambiguous_paths: AmbiguousPaths,
    /// Whether CORS preflights pass without a credential.
    pub cors_preflight: CorsPreflight,
    /// First match decides; no match is a refusal.
    pub rules: Rules<Rule>,
    /// The marks that paths of the rules name, which no request may escape.
    pub path_marks: Vec<u8>,
    /// What is forwarded of a caller.
    pub forward: Forward,
    /// What is asserted of a caller to the upstream.
    pub assertion: Option<Assertion>,
    /// What clients are told of where tokens for it come from.
    pub resources: Vec<Resource>,
    /// What the filter serves itself, before any rule.
    pub published: Published,
    /// What becomes of agent cards.
    pub card: AgentCard,
    /// What rules ask of a token's claims.
    pub asked: Asked,
    /// How many verified tokens are kept.
    pub token_cache_entries: usize,
}

/// What the rules ask of claims: the rest of a token need not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The names of claims, at the top level.
    pub claims: Vec<String>,
    /// Whether one asks for audiences.
    pub audiences: bool,
}

impl Inbound {
    /// Every place of a credential, but for that of codes.
    pub fn locations(&self) -> impl Iterator<Item = &Location> {
        let tokens = self.token_locations.iter().map(|token| &token.location);
        tokens.chain(&self.api_keys.locations)
    }

    /// What has to be remembered of codes.
    pub fn ledgers(&self) -> Vec<Ledger> {
        let replays = || self.rules.iter().filter_map(Rule::replay);
        let kept = [
            (Ledger::Failures, replays().next().is_some()),
            (
                Ledger::PerToken,
                replays().any(|replay| replay == Replay::PerToken),
            ),
            (Ledger::OneTime, replays().any(|replay| replay == Replay::OneTime)),
        ];
        kept.into_iter()
            .filter_map(|(ledger, is_kept)| is_kept.then_some(ledger))
            .collect()
    }

    /// Whether a request is for a host that a rule names, and that is not this one: what is said of this one is not said to
    /// it. Under a name that no rule knows a proxy before this one may have sent it.
    pub fn is_for_another(&self, host: &str, authority: &[u8]) -> bool {
        Authority::parse(authority).is_ok_and(|authority| {
            let mut named = self.rules.iter().flat_map(|rule| &rule.condition.hosts);
            authority.host() != host && named.any(|host| host.matches(&authority))
        })
    }

    /// The parameters among them.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.locations().filter_map(Location::parameter)
    }
}

/// What the tokens of one provider mean.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: Rc<str>,
    /// Whether a secret that its tokens are signed with is not there (`on_missing_secret: deny_rule`).
    pub lacks_keys: bool,
    /// Which claim names the peer.
    pub peer_claim: ClaimPath,
    /// The peers by the value of that claim.
    pub peers: HashMap<String, Rc<Peer>>,
    /// The claims that may hold scopes; the first that is present counts.
    pub scope_claims: Vec<ClaimPath>,
    /// Whether its tokens are the assertions of a peergate before this one.
    pub is_assertion: bool,
    /// Whether the token itself goes to the upstream.
    pub forwards_token: bool,
    /// The header that carries the token's payload, in base64url as it stood in the token.
    pub payload_header: Option<Rc<str>>,
    /// Headers that carry claims.
    pub claim_headers: Vec<(Rc<str>, ClaimPath)>,
}

/// Who is asked what opaque tokens mean, and what the answer does (`introspection`).
#[derive(Debug)]
pub struct Introspection {
    /// Its name.
    pub name: String,
    /// Where is asked (RFC 7662 §2).
    pub endpoint: Endpoint,
    /// Who asks. `None`: its secret is not there (`on_missing_secret: deny_rule`).
    pub client: Option<Rc<Client>>,
    /// The `iss` of its tokens, where they have one.
    pub issuer: Option<Rc<str>>,
    /// For whom its tokens may be, where they say so.
    pub audiences: Audiences,
    /// Which claim names the peer.
    pub peer_claim: ClaimPath,
    /// The peers by the value of that claim.
    pub peers: HashMap<String, Rc<Peer>>,
    /// The claims that may hold scopes; the first that is present counts.
    pub scope_claims: Vec<ClaimPath>,
    /// For how many seconds an answer is kept; 0 keeps none.
    pub cache_seconds: u32,
}

/// All that belongs to one caller.
#[derive(Debug)]
pub struct Peer {
    /// Its name, which is its identity.
    pub name: Rc<str>,
    /// A name for people.
    pub display_name: Option<String>,
    /// Its TOTP seeds, several while they rotate.
    pub totp_seeds: Vec<Seed>,
    /// Whether one of these is not there (`on_missing_secret: deny_rule`).
    pub lacks_seed: bool,
    /// Its scopes where it comes with an API key, a static token or a certificate.
    pub scopes: Vec<String>,
}

/// API keys and where they stand.
#[derive(Debug)]
pub struct ApiKeys {
    /// The places. Empty where the policy has nothing to do with API keys: their header is the upstream's business
    /// then.
    pub locations: Vec<Location>,
    /// The keys' digests.
    pub keys: Credentials<Rc<Peer>>,
    /// Whether one of the keys is not there (`on_missing_secret: deny_rule`).
    pub lacks_key: bool,
}

/// The second factor.
#[derive(Debug)]
pub struct Totp {
    /// The header that carries the code, in lower case.
    pub header: String,
    /// Seeds for callers without their own (`insecure_shared_seeds`).
    pub shared_seeds: Vec<Seed>,
    /// Whether one of these is not there (`on_missing_secret: deny_rule`).
    pub lacks_shared_seed: bool,
    /// How many codes may fail.
    pub throttle: Throttle,
    /// Whether a rule asks for a code at all.
    pub is_asked: bool,
    /// Tells what is remembered under this policy from what others remember. Of what makes callers and codes what they
    /// are, and no more: it stays as it is while rules, peers, seeds and limits change.
    pub scope: Subject,
}

/// What becomes of paths that two servers could read in two ways (`ambiguous_paths`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguousPaths {
    /// Refused before any rule.
    Reject,
    /// Matched byte by byte; never by a rule that lets strangers through.
    Raw,
}

/// Whether CORS preflights pass without a credential (`cors_preflight`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorsPreflight {
    /// They are authenticated like the rest.
    Authenticate,
    /// They pass.
    Pass,
}

/// What is forwarded of a caller. Header names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The header with the peer's name.
    pub peer: Option<Rc<str>>,
    /// The header with the subject.
    pub sub: Option<Rc<str>>,
    /// The header with the issuer.
    pub iss: Option<Rc<str>>,
    /// The header with the kind of credential.
    pub method: Option<Rc<str>>,
    /// Further claims in `rb-auth-claims`; `None` leaves the header away.
    pub rb_auth_claims: Option<Vec<ClaimPath>>,
    /// What joins lists.
    pub list_separator: String,
}
