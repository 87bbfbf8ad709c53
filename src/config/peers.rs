//! Who calls, and what belongs to each: `inbound.peers`.

use std::collections::HashMap;
use std::rc::Rc;

use crate::api_key::{Credentials, Digest, unfit_byte};
use crate::claims::is_scope_token;
use crate::config::declared::Declared;
use crate::config::problem::{Kind, PeerProblem};
use crate::config::reader::{Node, Object, all, distinct, plain_text};
use crate::config::secret::{Found, present, secret};
use crate::config::sorted;
use crate::config::totp::seed;
use crate::excerpt::Excerpt;
use crate::policy::inbound::Peer;
use crate::spiffe::{Pattern, Patterns};

/// All peers, by each thing that tells who a caller is.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// By provider, then by the value of its `peer_claim`.
    pub(super) by_token: HashMap<String, HashMap<String, Rc<Peer>>>,
    /// By API key.
    pub(super) by_api_key: Credentials<Rc<Peer>>,
    /// By static bearer token.
    pub(super) by_bearer_token: Credentials<Rc<Peer>>,
    /// By name in a certificate.
    pub(super) by_principal: Patterns<Rc<Peer>>,
    /// Whether an API key is not there.
    pub(super) lacks_api_key: bool,
    /// Whether a static bearer token is not there.
    pub(super) lacks_bearer_token: bool,
}

/// Reads `peers`. Whether seeds may be short is `inbound.totp`'s to say.
pub(super) fn peers(inbound: &Object<'_>, declared: &Declared<'_>, short_seeds: bool) -> Option<Peers> {
    let Some(node) = inbound.optional("peers") else {
        return Some(Peers::default());
    };
    let mut owners = Owners::default();
    let read = all(node
        .members()?
        .into_iter()
        .map(|(name, node)| read_peer(name, &node, declared, short_seeds, &mut owners)))?;
    let mut peers = Peers::default();
    for ReadPeer {
        peer,
        tokens,
        api_keys,
        bearer_tokens,
        principals,
    } in read
    {
        let peer = Rc::new(peer);
        for (provider, value) in tokens {
            peers
                .by_token
                .entry(provider.to_owned())
                .or_default()
                .insert(value.to_owned(), Rc::clone(&peer));
        }
        // No key stands here twice: the owners have seen to it.
        let (api_keys, lacks_api_key) = present(api_keys);
        for digest in api_keys {
            peers.by_api_key.insert(digest, Rc::clone(&peer)).ok()?;
        }
        let (bearer_tokens, lacks_bearer_token) = present(bearer_tokens);
        for digest in bearer_tokens {
            peers.by_bearer_token.insert(digest, Rc::clone(&peer)).ok()?;
        }
        for principal in principals {
            peers.by_principal.insert(principal, Rc::clone(&peer));
        }
        peers.lacks_api_key |= lacks_api_key;
        peers.lacks_bearer_token |= lacks_bearer_token;
    }
    Some(peers)
}

/// Reads a scope.
pub(super) fn scope(node: &Node<'_>) -> Option<String> {
    match node.text()? {
        scope if is_scope_token(scope) => Some(scope.to_owned()),
        other => node.refuse(PeerProblem::Scope(Excerpt::new(other))),
    }
}

struct ReadPeer<'c> {
    peer: Peer,
    /// Provider and value of its claim.
    tokens: Vec<(&'c str, &'c str)>,
    api_keys: Vec<Found<Digest>>,
    bearer_tokens: Vec<Found<Digest>>,
    principals: Vec<Pattern>,
}

/// Whose each credential is, among the peers that were read so far.
#[derive(Default)]
struct Owners<'c> {
    /// The peer's name, by provider and value.
    tokens: Vec<((&'c str, &'c str), &'c str)>,
    /// Where each key stands.
    api_keys: Credentials<String>,
    bearer_tokens: Credentials<String>,
    /// The peer's name, by pattern.
    principals: Vec<(Pattern, &'c str)>,
}

fn read_peer<'c>(
    name: &'c str,
    node: &Node<'c>,
    declared: &Declared<'c>,
    short_seeds: bool,
    owners: &mut Owners<'c>,
) -> Option<ReadPeer<'c>> {
    let is_named = node.check_name(name, LONGEST_NAME, "._@:/-");
    let peer = node.object(MEMBERS)?;
    let display_name = peer.or("display_name", None, |node| plain_text(&node).map(Some));
    let tokens = tokens(name, &peer, declared, owners);
    let api_keys = peer.list("api_keys", |node| key(&node, &mut owners.api_keys));
    let bearer_tokens = peer.list("bearer_tokens", |node| key(&node, &mut owners.bearer_tokens));
    let principals = peer.list(
        "principals",
        distinct(|node| principal(node, name, &mut owners.principals)),
    );
    let totp_seeds = peer.list("totp_seeds", |node| seed(&node, short_seeds));
    let scopes = peer.list("scopes", distinct(scope));
    is_named?;
    let (totp_seeds, lacks_seed) = present(totp_seeds?);
    Some(ReadPeer {
        peer: Peer {
            name: name.into(),
            display_name: display_name?,
            totp_seeds,
            lacks_seed,
            scopes: scopes?,
        },
        tokens: tokens?,
        api_keys: api_keys?,
        bearer_tokens: bearer_tokens?,
        principals: principals?,
    })
}

/// Which tokens are this peer's: those that are written, or those of the only provider that name it.
fn tokens<'c>(
    name: &'c str,
    peer: &Object<'c>,
    declared: &Declared<'c>,
    owners: &mut Owners<'c>,
) -> Option<Vec<(&'c str, &'c str)>> {
    let mut take = |node: &Node<'c>, provider: &'c str, value: &'c str| match sorted::first(
        &mut owners.tokens,
        (provider, value),
        name,
    ) {
        owner if owner == name => Some((provider, value)),
        owner => node.refuse(PeerProblem::TokenTwice {
            peer: Excerpt::new(owner),
            provider: Excerpt::new(provider),
        }),
    };
    let Some(tokens) = peer.optional("tokens") else {
        return match declared.only_provider() {
            Some(provider) => Some(vec![take(peer.node(), provider, name)?]),
            None => Some(Vec::new()),
        };
    };
    all(tokens.members()?.into_iter().map(|(provider, node)| {
        let is_known = declared.check_issuer(&node, provider);
        let value = node.text();
        is_known?;
        take(&node, provider, value?)
    }))
}

/// A SPIFFE ID, or all below one.
fn principal<'c>(node: &Node<'c>, peer: &'c str, owners: &mut Vec<(Pattern, &'c str)>) -> Option<Pattern> {
    let pattern = match Pattern::parse(node.text()?) {
        Ok(pattern) => pattern,
        Err(error) => return node.refuse(PeerProblem::Principal(error)),
    };
    match sorted::first(owners, pattern.clone(), peer) {
        owner if owner == peer => Some(pattern),
        owner => node.refuse(PeerProblem::PrincipalTwice(Excerpt::new(owner))),
    }
}

/// A key: `{sha256: …}` or a SECRET, of which only the digest is kept.
fn key(node: &Node<'_>, owners: &mut Credentials<String>) -> Option<Found<Digest>> {
    if node.kind() != Kind::Object {
        return node.refuse(PeerProblem::KeyShape(node.kind()));
    }
    let key = node.object_of_secret(KEY_SOURCES, PeerProblem::KeyMember.into())?;
    if KEY_SOURCES.iter().filter(|source| key.has(source)).count() != 1 {
        return node.refuse(PeerProblem::KeySource);
    }
    let digest = match key.optional("sha256") {
        Some(hex) => Digest::from_hex(hex.text()?),
        None => {
            let secret = match secret(node)? {
                Found::There(secret) => secret,
                Found::Missing => return Some(Found::Missing),
            };
            match unfit_byte(secret.expose().as_bytes()) {
                Some(place) => return node.refuse(PeerProblem::KeyCharacter(place)),
                None => Digest::of_secret(secret.expose().as_bytes()),
            }
        }
    };
    let digest = match digest {
        Ok(digest) => digest,
        Err(error) => return node.refuse(PeerProblem::Key(error)),
    };
    match owners.insert(digest, node.path()) {
        Ok(()) => Some(Found::There(digest)),
        Err(duplicate) => node.refuse(PeerProblem::KeyTwice(duplicate.first)),
    }
}

const MEMBERS: &[&str] = &[
    "display_name",
    "tokens",
    "api_keys",
    "bearer_tokens",
    "principals",
    "totp_seeds",
    "scopes",
];
const KEY_SOURCES: &[&str] = &["sha256", "env", "inline", "sealed"];
/// Ours: long enough for a SPIFFE id or a mail address. The name becomes a header's value.
const LONGEST_NAME: usize = 128;
