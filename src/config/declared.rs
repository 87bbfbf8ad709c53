//! What a configuration declares, whether or not it is good: names that other parts refer to.
//!
//! References are checked against this and not against what was read, so that a provider with a mistake in it does
//! not make every rule that names it a mistake too.

use crate::config::document::Document;
use crate::config::nearest::nearest;
use crate::config::problem::{OauthProblem, PeerProblem};
use crate::config::reader::{Node, Object, has_entries};
use crate::config::sorted;
use crate::excerpt::Excerpt;

/// What the inbound half declares.
#[derive(Debug)]
pub(super) struct Declared<'c> {
    providers: Names<'c>,
    introspections: Names<'c>,
    peers: Names<'c>,
    /// Whether a peer has, or was meant to have, an API key.
    pub(super) api_keys: bool,
    /// The same of static bearer tokens.
    pub(super) bearer_tokens: bool,
    /// The same of TOTP seeds.
    pub(super) totp_seeds: bool,
    /// Whether tokens of a provider are, or were meant to be, the assertions of a gateway.
    pub(super) assertions: bool,
}

impl<'c> Declared<'c> {
    /// Looks at `providers` and `peers`.
    pub(super) fn new(inbound: &Object<'c>) -> Self {
        let document = inbound.node().document();
        let is_on = |value: Option<&Document>| !matches!(value, None | Some(Document::Flag(false)));
        let peers = document.member("peers");
        let any_has = |name: &str| match peers {
            None => false,
            Some(Document::Object(peers)) => peers.iter().any(|(_, peer)| has_entries(peer, name)),
            // Reported when it is read; nothing follows from it.
            Some(_) => true,
        };
        Self {
            providers: Names::of(document.member("providers")),
            introspections: Names::of(document.member("introspection")),
            peers: Names::of(peers),
            api_keys: any_has("api_keys"),
            bearer_tokens: any_has("bearer_tokens"),
            totp_seeds: any_has("totp_seeds"),
            assertions: match document.member("providers") {
                Some(Document::Object(providers)) => providers
                    .iter()
                    .any(|(_, provider)| is_on(provider.member("assertion"))),
                Some(_) | None => false,
            },
        }
    }

    /// Whether there are providers, be they good or not.
    pub(super) fn has_providers(&self) -> bool {
        match &self.providers {
            Names::Known(names) => !names.is_empty(),
            Names::Unreadable => true,
        }
    }

    /// Whether a provider has this name.
    pub(super) fn is_provider(&self, name: &str) -> bool {
        matches!(&self.providers, Names::Known(names) if names.binary_search(&name).is_ok())
    }

    /// Whether a server is asked what opaque tokens mean.
    pub(super) fn has_introspections(&self) -> bool {
        !matches!(&self.introspections, Names::Known(names) if names.is_empty())
    }

    /// The provider, where there is exactly one; without any, the only server that is asked.
    pub(super) fn only_provider(&self) -> Option<&'c str> {
        let issuers = match self.has_providers() {
            true => &self.providers,
            false => &self.introspections,
        };
        match issuers {
            Names::Known(names) if names.len() == 1 => names.first().copied(),
            Names::Known(_) | Names::Unreadable => None,
        }
    }

    /// Reports a reference to a server that is not there.
    pub(super) fn check_introspection(&self, node: &Node<'_>, name: &str) -> Option<()> {
        match self.introspections.lookup(name) {
            Ok(()) => Some(()),
            Err(nearest) => node.refuse(OauthProblem::IntrospectionUnknown {
                name: Excerpt::new(name),
                nearest,
            }),
        }
    }

    /// Reports a reference to neither a provider nor a server.
    pub(super) fn check_issuer(&self, node: &Node<'_>, name: &str) -> Option<()> {
        match self.introspections.lookup(name) {
            Ok(()) => Some(()),
            Err(_) => self.check_provider(node, name),
        }
    }

    /// Reports a reference to a provider that is not there.
    pub(super) fn check_provider(&self, node: &Node<'_>, name: &str) -> Option<()> {
        match self.providers.lookup(name) {
            Ok(()) => Some(()),
            Err(nearest) => node.refuse(PeerProblem::ProviderUnknown {
                name: Excerpt::new(name),
                nearest,
            }),
        }
    }

    /// Reports a reference to a peer that is not there.
    pub(super) fn check_peer(&self, node: &Node<'_>, name: &str) -> Option<()> {
        match self.peers.lookup(name) {
            Ok(()) => Some(()),
            Err(nearest) => node.refuse(PeerProblem::PeerUnknown {
                name: Excerpt::new(name),
                nearest,
            }),
        }
    }
}

/// The names in a section.
#[derive(Debug)]
enum Names<'c> {
    /// In order.
    Known(Vec<&'c str>),
    /// The section is no object: every name could be meant to be there.
    Unreadable,
}

impl<'c> Names<'c> {
    fn of(section: Option<&'c Document>) -> Self {
        match section {
            None => Self::Known(Vec::new()),
            Some(Document::Object(members)) => {
                let mut names = Vec::with_capacity(members.len());
                for (name, value) in members {
                    if !matches!(value, Document::Null) {
                        sorted::insert(&mut names, name.as_str());
                    }
                }
                Self::Known(names)
            }
            Some(_) => Self::Unreadable,
        }
    }

    /// Whether a name is there, or else the one that may be meant.
    fn lookup(&self, name: &str) -> Result<(), Option<String>> {
        match self {
            Self::Unreadable => Ok(()),
            Self::Known(names) if names.binary_search(&name).is_ok() => Ok(()),
            Self::Known(names) => {
                let candidates = names.iter().copied().take(MAX_CANDIDATES);
                Err(nearest(name, candidates).map(|name| Excerpt::new(name).to_string()))
            }
        }
    }
}

/// Ours: names that are compared with a wrong one, which may stand in each of many rules.
const MAX_CANDIDATES: usize = 100;
