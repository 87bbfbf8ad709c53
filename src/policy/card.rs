//! What agent cards are told of the rules (`inbound.agent_card`): how a caller may prove who it is, and what a message to an
//! interface needs. It is worked out of the very rules that decide requests, when a card goes by.
//!
//! It looks at no request and at no answer, and does not know how a card is written.

use crate::agent_card::{Card, Interface, Merge, Place, Requirement, Scheme, SchemeKind, Security};
use crate::authority::Authority;
use crate::http::{Headers, Request};
use crate::path::RequestPath;
use crate::policy::Enforcement;
use crate::policy::inbound::{AmbiguousPaths, Inbound};
use crate::policy::rule::{Accept, Action, Protocol, Rule};
use crate::signer::{HostSigner, SigningKey};

/// What becomes of the cards of upstreams (`inbound.agent_card`).
#[derive(Debug)]
pub struct AgentCard {
    /// Whether cards are rewritten at all.
    pub advertise: bool,
    /// What becomes of the security that a card declares itself.
    pub merge: Merge,
    /// What becomes of signed cards.
    pub signed: Signed,
    /// How long a card may be that is held to be rewritten.
    pub max_bytes: usize,
    /// The host that the rules are asked for, in place of those that the interfaces of a card name.
    pub host: Option<String>,
    /// The credentials that can be told to a caller, in the order in which they are.
    pub ways: Vec<Way>,
}

/// What becomes of signed cards (`signed`).
#[derive(Debug)]
pub enum Signed {
    /// They go by as they are.
    Pass,
    /// They are rewritten, and their signatures go.
    Drop,
    /// Every card is signed anew. With the key that is written for it; without, with the assertion's first.
    Resign(Option<Box<SigningKey>>),
}

/// One way in which a caller may prove who it is.
#[derive(Debug)]
pub struct Way {
    /// What it takes.
    pub credential: Credential,
    /// How that is told.
    pub scheme: Scheme,
}

impl Way {
    /// Which rules for MCP refuse.
    fn is_token_in_query(&self) -> bool {
        let is_in_query = matches!(
            self.scheme.kind,
            SchemeKind::ApiKey {
                place: Place::Query,
                ..
            }
        );
        is_in_query && matches!(self.credential, Credential::Token(_))
    }
}

/// A kind of first factor, as narrow as rules can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token of the provider of this name.
    Token(String),
    /// An opaque token that the introspection of this name knows.
    Opaque(String),
    /// A static bearer token.
    BearerToken,
    /// An API key.
    ApiKey,
    /// The certificate of the connection.
    Certificate,
}

impl Credential {
    fn is_accepted(&self, accept: &Accept) -> bool {
        match self {
            Self::Token(provider) => accept.jwt.accepts(provider),
            Self::Opaque(name) => accept.introspections.contains(name),
            Self::BearerToken => accept.bearer_token,
            Self::ApiKey => accept.api_key,
            Self::Certificate => accept.mtls,
        }
    }

    /// Whether a caller may ask for it with certain scopes. Those of other credentials are the policy's to give.
    const fn has_scopes(&self) -> bool {
        matches!(self, Self::Token(_) | Self::Opaque(_))
    }
}

/// What callers must send to the interfaces of a card.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// It.
    pub security: Security,
    /// Whether the interfaces, or the rules that may meet a message, differ. What is good for all of them counts.
    pub differs: bool,
    /// Whether a message may get in at every one of them.
    pub reaches_all: bool,
}

/// What became of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Said {
    /// It says what the rules want of every interface alike.
    Exactly,
    /// It says what is good for all of them, or else what the first wants.
    Strictest,
    /// It is signed, and stays as it is.
    Signed,
    /// No rule lets a message in, or none that could be told how: it stays as it is.
    Unreachable,
    /// It says what the rules want, and should be signed, and is not: it does not lead to the host whose cards are signed, the
    /// key is not there, or the card cannot be signed.
    Unsigned,
}

impl Said {
    /// What an operator should know of it, of a card that "it" stands for; nothing where all is as it should be.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Exactly => "",
            Self::Strictest => {
                "its interfaces do not all want the same, or one of them cannot be reached: it says what is good at all of \
                 them, or else what the first wants"
            }
            Self::Signed => {
                "it is signed and stays as it is, whatever it says of credentials: `signed: drop` or `signed: resign` has \
                 it rewritten"
            }
            Self::Unreachable => {
                "no rule lets a message to its interfaces in, or none with a credential that a card can name: it stays as \
                 it is"
            }
            Self::Unsigned => {
                "it goes without a signature: one of its interfaces is not at `inbound.agent_card.host` or cannot be \
                 reached, the key is not there, or the card cannot be signed"
            }
        }
    }
}

impl Inbound {
    /// Has a card say what the rules want.
    pub fn tell(&self, card: &mut Card, host: &dyn HostSigner) -> Said {
        if card.is_signed() && matches!(self.card.signed, Signed::Pass) {
            return Said::Signed;
        }
        let mut interfaces = Vec::new();
        let mut differs = false;
        for interface in card.interfaces() {
            match interface {
                Ok(interface) => interfaces.push(interface),
                Err(_) => differs = true,
            }
        }
        let Some(asked) = self.asked_at(&interfaces) else {
            return Said::Unreachable;
        };
        // What the filter vouches for leads nowhere but here, whatever the upstream has made its urls of.
        let leads_here = !differs && asked.reaches_all && interfaces.iter().all(|each| self.is_own(each));
        let is_signed = matches!(self.card.signed, Signed::Resign(_));
        card.advertise(&asked.security, self.card.merge, is_signed);
        card.unsign();
        if let Signed::Resign(own) = &self.card.signed {
            let key = own.as_deref().or_else(|| self.assertion.as_ref()?.key());
            if !leads_here || !key.is_some_and(|key| card.sign(key, host)) {
                return Said::Unsigned;
            }
        }
        match differs || asked.differs {
            true => Said::Strictest,
            false => Said::Exactly,
        }
    }

    /// Whether an interface is at the host whose cards are signed, whatever its port.
    fn is_own(&self, interface: &Interface) -> bool {
        let authority = Authority::parse(interface.authority.as_bytes());
        authority.is_ok_and(|authority| Some(authority.host()) == self.card.host.as_deref())
    }

    /// What a message must carry to be let in at these interfaces: by the rules that a `POST` to each would meet. `None`:
    /// none of them can be reached, or not with what can be told.
    pub fn asked_at(&self, interfaces: &[Interface]) -> Option<Asked> {
        let (mut differs, mut reaches_all) = (false, true);
        let mut first: Option<Offer> = None;
        let mut met: Option<Offer> = None;
        for interface in interfaces {
            let offers = self.offers(interface);
            reaches_all &= offers.iter().any(Option::is_some);
            for offer in offers {
                // What nobody can reach says nothing of the others.
                let Some(offer) = offer else {
                    differs = true;
                    continue;
                };
                differs |= first.as_ref().is_some_and(|first| *first != offer);
                met = Some(met.map_or_else(|| offer.clone(), |met| met.meet(&offer)));
                first = Some(first.unwrap_or(offer));
            }
        }
        // Where no credential is good for all, the preferred interface counts.
        let offer = met.filter(Offer::is_possible).or(first)?;
        offer.is_possible().then(|| Asked {
            security: self.security(&offer),
            differs,
            reaches_all,
        })
    }

    /// What the rules want of a message to an interface: of the first that matches, and of those before it that may, by
    /// headers that are not known. `None`: nobody is let in.
    fn offers(&self, interface: &Interface) -> Vec<Option<Offer>> {
        let mut offers = Vec::new();
        let host = self.card.host.as_deref().unwrap_or(&interface.authority);
        let path = RequestPath::raw(interface.path.as_bytes()).where_marks_count(&self.path_marks);
        let Ok(authority) = Authority::parse(host.as_bytes()) else {
            return vec![None];
        };
        if path.is_ambiguous() && self.ambiguous_paths == AmbiguousPaths::Reject {
            return vec![None];
        }
        let message = message();
        let enforced = |rule: &&Rule| rule.enforcement == Enforcement::Enforce;
        for rule in self.rules.candidates(&path, &authority).filter(enforced) {
            if path.is_ambiguous() && rule.lets_strangers_through() {
                continue;
            }
            if rule.condition.matches_target(&message, &authority, &path) {
                offers.push(Offer::of(rule, &self.card.ways));
                if rule.condition.headers.is_empty() {
                    return offers;
                }
            }
        }
        // No rule.
        offers.push(None);
        offers
    }

    fn security(&self, offer: &Offer) -> Security {
        let mut security = Security {
            schemes: Vec::new(),
            alternatives: Vec::new(),
        };
        // Nothing is looked at: there is nothing to be told.
        let Some(ways) = &offer.ways else {
            return security;
        };
        for way in ways.iter().filter_map(|way| self.card.ways.get(*way)) {
            let scopes = match way.credential.has_scopes() {
                true => offer.scopes.clone(),
                false => Vec::new(),
            };
            let mut schemes = vec![(place(&mut security.schemes, &way.scheme), scopes)];
            if offer.totp {
                schemes.push((place(&mut security.schemes, &self.totp_scheme()), Vec::new()));
            }
            let requirement = Requirement { schemes };
            // Two providers may be told alike.
            if !security.alternatives.contains(&requirement) {
                security.alternatives.push(requirement);
            }
        }
        if offer.anonymous {
            security.alternatives.push(Requirement { schemes: Vec::new() });
        }
        security
    }

    /// TOTP has no type of its own: a key in a header, beside another credential.
    fn totp_scheme(&self) -> Scheme {
        let header = &self.totp.header;
        Scheme {
            name: "totp".to_owned(),
            description: Some(TOTP.to_owned()),
            kind: SchemeKind::ApiKey {
                place: Place::Header,
                name: match header.as_str() {
                    "x-totp" => "X-TOTP".to_owned(),
                    other => other.to_owned(),
                },
            },
        }
    }
}

/// What a rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    /// The ways that it takes, by their index; `None`: it looks at none.
    ways: Option<Vec<usize>>,
    /// Whether it lets strangers through.
    anonymous: bool,
    totp: bool,
    scopes: Vec<String>,
}

impl Offer {
    /// `None`: it lets nobody through.
    fn of(rule: &Rule, ways: &[Way]) -> Option<Self> {
        match &rule.action {
            Action::Deny => None,
            Action::Public => Some(Self {
                ways: None,
                anonymous: true,
                totp: false,
                scopes: Vec::new(),
            }),
            Action::Authenticate(accept, require) => {
                let ways = ways.iter().enumerate();
                let taken = ways.filter(|(_, way)| {
                    way.credential.is_accepted(accept)
                        && !(rule.protocol == Protocol::Mcp && way.is_token_in_query())
                });
                Some(Self {
                    ways: Some(taken.map(|(index, _)| index).collect()),
                    anonymous: accept.none,
                    totp: require.totp.is_some(),
                    scopes: require.scopes.clone(),
                })
            }
        }
    }

    /// What both let through.
    fn meet(self, other: &Self) -> Self {
        let ways = match (self.ways, &other.ways) {
            (None, ways) => ways.clone(),
            (ways, None) => ways,
            (Some(mut ways), Some(other)) => {
                ways.retain(|way| other.contains(way));
                Some(ways)
            }
        };
        let mut scopes = self.scopes;
        for scope in &other.scopes {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        Self {
            ways,
            anonymous: self.anonymous && other.anonymous,
            totp: self.totp || other.totp,
            scopes,
        }
    }

    fn is_possible(&self) -> bool {
        self.anonymous || self.ways.as_ref().is_some_and(|ways| !ways.is_empty())
    }
}

/// The place of a scheme in a list, which has it from now on.
fn place(schemes: &mut Vec<Scheme>, scheme: &Scheme) -> usize {
    let known = schemes.iter().position(|other| other == scheme);
    known.unwrap_or_else(|| {
        schemes.push(scheme.clone());
        schemes.len() - 1
    })
}

/// A message to an agent: rules look at its method.
fn message() -> Request {
    Request {
        headers: Headers::new([(b":method".to_vec(), b"POST".to_vec())]),
        ..Request::default()
    }
}

/// For who reads a card: nothing else in it tells that the key is a new one each time.
const TOTP: &str = "TOTP code (RFC 6238)";
