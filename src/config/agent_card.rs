//! What becomes of agent cards: `inbound.agent_card`; and how each kind of credential is told in one.

use crate::agent_card::{Card, Merge, Place, Scheme, SchemeKind};
use crate::assertion::Assertion;
use crate::authority::HostName;
use crate::callout::Url;
use crate::config::assertion::keys;
use crate::config::declared::Declared;
use crate::config::peers::scope;
use crate::config::problem::{CardProblem, RuleProblem};
use crate::config::reader::{Node, Object, all, distinct};
use crate::config::rules::check_no_url;
use crate::config::text::text;
use crate::config::warning::Caution;
use crate::keys::Location as KeyLocation;
use crate::matcher::PathExact;
use crate::metadata;
use crate::policy::KeyPlan;
use crate::policy::card::{AgentCard, Credential, Signed, Way};
use crate::policy::inbound::{Inbound, Introspection, Provider};
use crate::policy::location::{AUTHORIZATION, BEARER, Location, TokenForm, TokenLocation};
use crate::policy::published::{Kind, Page};
use crate::signer::{NoHostSigner, SigningKey};

/// What is written of cards, before it is known how credentials are told.
#[derive(Debug)]
pub(super) struct CardSettings {
    advertise: bool,
    merge: Merge,
    signed: Signing,
    max_bytes: usize,
    host: Option<String>,
    /// Which providers, or introspections, are told as OAuth 2.
    oauth2: Vec<(String, SchemeKind)>,
    keys: Vec<SigningKey>,
    /// What the filter serves itself.
    pub(super) served: Served,
}

/// What the filter serves itself.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// A whole card.
    card: Option<Card>,
    /// The keys that cards are signed with: where, and which.
    jwks: Option<(String, Vec<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signing {
    Pass,
    Drop,
    Resign,
}

/// Reads `agent_card`. Without keys of its own the keys of the assertion sign, where there is one.
pub(super) fn agent_card(
    inbound: &Object<'_>,
    declared: &Declared<'_>,
    has_assertion: bool,
) -> Option<CardSettings> {
    let card = inbound.section("agent_card", MEMBERS)?;
    let advertise = card.or("advertise", true, |node| node.flag());
    let merge = card.or("merge", Merge::Replace, |node| {
        node.choice(&[("replace", Some(Merge::Replace)), ("and", Some(Merge::And))])
    });
    let signed = card.or("signed", Signing::Pass, |node| {
        node.choice(&[
            ("pass", Some(Signing::Pass)),
            ("drop", Some(Signing::Drop)),
            ("resign", Some(Signing::Resign)),
        ])
    });
    let max_bytes = card.or("max_bytes", DEFAULT_MAX_BYTES, |node| {
        node.integer(MIN_MAX_BYTES..=MAX_MAX_BYTES)
    });
    let host = card.or("host", None, |node| {
        check_no_url(&node)?;
        match HostName::parse(&text(&node)?) {
            Ok(host) => Some(Some(host.as_str().to_owned())),
            Err(error) => node.refuse(CardProblem::Host(error)),
        }
    });
    let oauth2 = card.or("oauth2", Vec::new(), |node| {
        all(node
            .members()?
            .into_iter()
            .map(|(name, node)| oauth2(name, &node, declared)))
    });
    let own_keys = card.or("keys", None, |node| keys(&node).map(Some));
    let jwks_path = card.or("jwks_path", None, |node| match PathExact::parse(node.text()?) {
        Ok(_) => node.text().map(|path| Some(path.to_owned())),
        Err(error) => node.refuse(RuleProblem::Path(error)),
    });
    let own = card.or("static", None, |node| own_card(&node).map(Some));
    all_of!(
        advertise, merge, signed, max_bytes, host, oauth2, own_keys, jwks_path, own
    );
    match (signed, own_keys.is_some()) {
        (Signing::Resign, false) if !has_assertion => {
            return card.refuse_member("signed", CardProblem::NoKey);
        }
        (Signing::Resign, _) if host.is_none() => {
            return card.refuse_member("signed", CardProblem::NoHost);
        }
        (Signing::Pass | Signing::Drop, true) => {
            return card.refuse_member("keys", CardProblem::NothingSigned);
        }
        (_, false) if jwks_path.is_some() => {
            return card.refuse_member("jwks_path", CardProblem::NoKeysToServe);
        }
        _ => {}
    }
    let keys = own_keys.map(|(keys, _)| keys).unwrap_or_default();
    let public = || keys.iter().map(|key| key.public_jwk().to_owned()).collect();
    Some(CardSettings {
        advertise,
        merge,
        signed,
        max_bytes,
        host,
        oauth2,
        served: Served {
            card: own,
            jwks: jwks_path.map(|path| (path, public())),
        },
        keys,
    })
}

/// Adds what is served to the documents of a half, the card as its rules have it.
pub(super) fn serve(node: &Object<'_>, served: Served, inbound: &mut Inbound) -> Option<()> {
    let refuse = |member, problem| {
        let card = node.section("agent_card", MEMBERS)?;
        card.refuse_member::<()>(member, problem)
    };
    if let Some((path, jwks)) = served.jwks {
        let assertion = inbound.assertion.as_ref();
        let assertion = assertion.filter(|assertion| assertion.jwks_path.as_ref() == Some(&path));
        let others = assertion.map(Assertion::public_jwks).unwrap_or_default();
        let is_other =
            |kid: &Option<&str>, jwk: &str| others.iter().any(|other| other != &jwk && kid_of(other) == *kid);
        if jwks.iter().any(|jwk| is_other(&kid_of(jwk), jwk)) {
            return refuse("jwks_path", CardProblem::KidTwice);
        }
        let jwks: Vec<&str> = jwks.iter().map(String::as_str).collect();
        if inbound.published.add_keys(&path, &jwks).is_err() {
            return refuse("jwks_path", CardProblem::PathTaken);
        }
    }
    let Some(mut card) = served.card else {
        return Some(());
    };
    if inbound.card.advertise {
        let said = inbound.tell(&mut card, &NoHostSigner);
        if !said.text().is_empty()
            && let Some(node) = node.optional("agent_card")
        {
            node.warn(Caution::StaticCard(said));
        }
    }
    for path in CARD_PATHS {
        let page = Page {
            path: path.to_owned(),
            host: inbound.card.host.clone(),
            kind: Kind::Card,
            body: String::from_utf8(card.to_bytes()).ok()?,
            clean: None,
        };
        if inbound.published.add(page).is_err() {
            return refuse("static", CardProblem::PathTaken);
        }
    }
    Some(())
}

/// One of `oauth2`: where clients of their own ask for tokens (RFC 6749 §4.4).
fn oauth2(name: &str, node: &Node<'_>, declared: &Declared<'_>) -> Option<(String, SchemeKind)> {
    declared.check_issuer(node, name)?;
    let scheme = node.object(&["token_url", "scopes"])?;
    let token_url = scheme.required("token_url").and_then(|node| {
        let url = text(&node)?;
        match Url::parse(&url) {
            Ok(_) => Some(url),
            Err(error) => node.refuse(CardProblem::TokenUrl(error)),
        }
    });
    let scopes = scheme.list("scopes", distinct(scope));
    let kind = SchemeKind::OAuth2 {
        token_url: token_url?,
        scopes: scopes?,
    };
    Some((name.to_owned(), kind))
}

/// The whole card that the filter serves itself.
fn own_card(node: &Node<'_>) -> Option<Card> {
    // Says what it is where it is no object.
    node.members()?;
    let members = match node.document().to_json() {
        serde_json::Value::Object(members) => members,
        _ => return None,
    };
    match Card::from_members(members) {
        Ok(card) => Some(card),
        Err(error) => node.refuse(CardProblem::NotACard(error)),
    }
}

/// The name of a key, as [`SigningKey::public_jwk`] writes it.
fn kid_of(jwk: &str) -> Option<&str> {
    let (_, rest) = jwk.split_once("\"kid\":")?;
    rest.split_once(",\"").map(|(kid, _)| kid)
}

/// What stands around the ways in which callers prove who they are.
pub(super) struct Callers<'a> {
    pub(super) providers: &'a [Provider],
    pub(super) introspections: &'a [Introspection],
    pub(super) token_locations: &'a [TokenLocation],
    pub(super) api_key_locations: &'a [Location],
    pub(super) keys: &'a KeyPlan,
}

impl CardSettings {
    /// With the ways in which callers can be told to prove who they are.
    pub(super) fn told(self, callers: &Callers<'_>) -> AgentCard {
        AgentCard {
            ways: self.ways(callers),
            advertise: self.advertise,
            merge: self.merge,
            signed: match self.signed {
                Signing::Pass => Signed::Pass,
                Signing::Drop => Signed::Drop,
                Signing::Resign => Signed::Resign(self.keys.into_iter().next().map(Box::new)),
            },
            max_bytes: self.max_bytes,
            host: self.host,
        }
    }

    fn ways(&self, callers: &Callers<'_>) -> Vec<Way> {
        let mut ways = Vec::new();
        for (index, provider) in callers.providers.iter().enumerate() {
            // Only the gateway before this filter has one.
            if provider.is_assertion {
                continue;
            }
            let is_its_own = |form: &TokenForm| form.providers.contains(&index);
            let kind = place(callers.token_locations, is_its_own);
            let mut tell = |kind| ways.push(way(Credential::Token(provider.name.clone()), kind));
            if matches!(
                kind,
                Some(SchemeKind::Http {
                    bearer_format: Some(_),
                    ..
                })
            ) {
                self.oauth2_of(&provider.name).into_iter().for_each(&mut tell);
                if is_discovered(callers.keys, index) && Url::parse(&provider.issuer).is_ok() {
                    let url = metadata::uri(&provider.issuer);
                    tell(SchemeKind::OpenIdConnect { url });
                }
            }
            kind.into_iter().for_each(tell);
        }
        for introspection in callers.introspections {
            let credential = || Credential::Opaque(introspection.name.clone());
            let oauth2 = self.oauth2_of(&introspection.name);
            ways.extend(oauth2.map(|kind| way(credential(), kind)));
            ways.push(way(credential(), bearer(None)));
        }
        ways.push(way(Credential::BearerToken, bearer(None)));
        for location in callers.api_key_locations {
            ways.push(way(Credential::ApiKey, value(location)));
        }
        ways.push(way(Credential::Certificate, SchemeKind::MutualTls));
        ways
    }

    fn oauth2_of(&self, name: &str) -> Option<SchemeKind> {
        let mut written = self.oauth2.iter();
        written
            .find(|(other, _)| other == name)
            .map(|(_, kind)| kind.clone())
    }
}

fn way(credential: Credential, kind: SchemeKind) -> Way {
    let name = match &kind {
        SchemeKind::Http {
            bearer_format: Some(_),
            ..
        } => "bearer",
        SchemeKind::Http { .. } => "bearerToken",
        SchemeKind::ApiKey { .. } => match credential {
            Credential::ApiKey => "apiKey",
            _ => "token",
        },
        SchemeKind::OpenIdConnect { .. } => "openId",
        SchemeKind::OAuth2 { .. } => "oauth2",
        SchemeKind::MutualTls => "mtls",
    };
    // A scheme without members of its own vanishes from what the SDKs sign, and could then be taken away.
    let description = (kind == SchemeKind::MutualTls).then(|| "client certificate".to_owned());
    Way {
        credential,
        scheme: Scheme {
            name: name.to_owned(),
            description,
            kind,
        },
    }
}

/// How a token is told that stands in one of these places: as a bearer token, where it may be one; else by the first place
/// that can be told. A scheme before the token can be told in `Authorization` only.
fn place(locations: &[TokenLocation], is_meant: impl Fn(&TokenForm) -> bool) -> Option<SchemeKind> {
    let mut found = None;
    for token in locations {
        let is_authorization = token.location.header() == Some(AUTHORIZATION);
        for form in token.forms.iter().filter(|form| is_meant(form)) {
            let kind = match &form.scheme {
                Some(scheme) if is_authorization && scheme.eq_ignore_ascii_case(BEARER) => {
                    return Some(bearer(Some("JWT")));
                }
                Some(scheme) if is_authorization => SchemeKind::Http {
                    scheme: scheme.to_ascii_lowercase(),
                    bearer_format: None,
                },
                Some(_) => continue,
                None => value(&token.location),
            };
            found = found.or(Some(kind));
        }
    }
    found
}

fn bearer(bearer_format: Option<&'static str>) -> SchemeKind {
    SchemeKind::Http {
        scheme: "bearer".to_owned(),
        bearer_format,
    }
}

/// A value that stands alone in its place.
fn value(location: &Location) -> SchemeKind {
    let (place, name) = match location {
        Location::Header(name) => (Place::Header, name),
        Location::Cookie(name) => (Place::Cookie, name),
        Location::Parameter(name) => (Place::Query, name),
    };
    SchemeKind::ApiKey {
        place,
        name: name.clone(),
    }
}

/// Whether the keys of a provider are found by the metadata of OpenID Connect, so that a client may find all else there.
fn is_discovered(keys: &KeyPlan, provider: usize) -> bool {
    let mut sources = keys.sources.iter();
    // RFC 8414 has metadata elsewhere, and there may be none of OpenID Connect then.
    let is_open_id = |location: &KeyLocation| match location {
        KeyLocation::Metadata { metadata, .. } => metadata.url.path().ends_with(OPENID),
        KeyLocation::KeySet(_) => false,
    };
    sources.any(|(index, source)| *index == provider && is_open_id(&source.location))
}

const MEMBERS: &[&str] = &[
    "advertise",
    "merge",
    "signed",
    "static",
    "max_bytes",
    "oauth2",
    "host",
    "keys",
    "jwks_path",
];
/// OpenID Connect Discovery 1.0 §4.
const OPENID: &str = "/.well-known/openid-configuration";
/// A2A 1.0 §8.2, and the name that A2A 0.2 had.
const CARD_PATHS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];
/// Cards that are signed, with all their skills, have some ten kilobytes.
const DEFAULT_MAX_BYTES: usize = 256 * 1024;
const MIN_MAX_BYTES: i64 = 1024;
/// As [`crate::agent_card::MAX_BYTES`] has it.
const MAX_MAX_BYTES: i64 = 1024 * 1024;
