//! The policy of a sidecar behind a gateway that signs assertions: what it verifies is the gateway's word.
//!
//! Its rules are the gateway's, in their order. What the gateway has checked and its assertion does not tell (audiences,
//! claims, and scopes that it was not told to hand on) is not asked for again: there is nothing to see of it.

use super::error::RenderError;
use super::named::{entries, members, text, texts};
use crate::config::Document;
use crate::secret::Secret;

/// Where the sidecar gets the gateway's keys from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Up to the path: `http://istio-ingressgateway.istio-ingress.svc.cluster.local`.
    pub origin: String,
    /// The cluster that leads there.
    pub cluster: String,
}

/// The policy of the sidecar.
///
/// # Errors
/// The gateway signs nothing, or does not publish the keys.
pub fn sidecar_policy(gateway: &Document, place: &Gateway) -> Result<Document, RenderError> {
    let inbound = gateway.member("inbound");
    let assertion = inbound
        .and_then(|half| half.member("forward"))
        .and_then(|forward| forward.member("assertion"))
        .ok_or(RenderError::NoAssertion)?;
    let path = assertion
        .member("jwks_path")
        .and_then(text)
        .ok_or(RenderError::NoJwksPath)?;
    let told = |name| assertion.member(name).cloned().unwrap_or(Document::Null);
    let header = assertion
        .member("header")
        .and_then(text)
        .unwrap_or(DEFAULT_HEADER);
    let claims = texts(assertion.member("claims"));
    let provider = object([
        ("issuer", told("issuer")),
        ("audiences", Document::List(vec![told("audience")])),
        (
            "jwks",
            object([(
                "remote",
                object([
                    ("uri", word(&format!("{}{path}", place.origin))),
                    ("cluster", word(&place.cluster)),
                ]),
            )]),
        ),
        ("assertion", Document::Flag(true)),
        (
            "from_headers",
            Document::List(vec![object([("name", word(header))])]),
        ),
        ("forward", Document::Flag(true)),
    ]);
    let peers = members(inbound.and_then(|half| half.member("peers")));
    let peers: Vec<(String, Document)> = peers.map(|(name, peer)| (name.to_owned(), named(peer))).collect();
    let has_scopes = claims.iter().any(|claim| matches!(*claim, "scope" | "scp"));
    let rules = entries(inbound.and_then(|half| half.member("rules")));
    let rules = rules.filter_map(|rule| behind(rule, has_scopes)).collect();
    let mut half = vec![("providers".to_owned(), object([(GATEWAY, provider)]))];
    if !peers.is_empty() {
        half.push(("peers".to_owned(), Document::Object(peers)));
    }
    half.push(("rules".to_owned(), Document::List(rules)));
    Ok(object([
        ("version", Document::Number(1.into())),
        ("inbound", Document::Object(half)),
    ]))
}

/// A peer has a name here, and nothing that it could come with besides.
fn named(peer: &Document) -> Document {
    match peer.member("display_name") {
        Some(name) => object([("display_name", name.clone())]),
        None => object([]),
    }
}

/// What a rule of the gateway asks behind it; nothing, where it decides nothing.
fn behind(rule: &Document, has_scopes: bool) -> Option<Document> {
    if rule.member("enforcement").and_then(text) == Some("shadow") {
        return None;
    }
    let mut members: Vec<(String, Document)> = ["name", "match", "protocol", "extended_card_rpc"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), rule.member(name)?.clone())))
        .collect();
    if let Some(deny @ Document::Flag(true)) = rule.member("deny") {
        members.push(("deny".to_owned(), deny.clone()));
        return Some(Document::Object(members));
    }
    let accepted = texts(rule.member("accept"));
    let is_open = accepted.contains(&NONE);
    let is_asked = accepted.iter().any(|credential| *credential != NONE);
    let accepted = [(is_asked, "jwt"), (is_open, NONE)];
    let accepted = accepted.into_iter().filter(|(is_meant, _)| *is_meant);
    let accepted = accepted.map(|(_, credential)| word(credential)).collect();
    members.push(("accept".to_owned(), Document::List(accepted)));
    let required = rule.member("require");
    let mut asked = Vec::new();
    // How a code may be used is the gateway's business, which has used it up.
    let totp = required.and_then(|required| required.member("totp"));
    if matches!(totp, Some(Document::Flag(true) | Document::Object(_))) {
        asked.push(("totp".to_owned(), Document::Flag(true)));
    }
    for name in ["peers", "scopes"] {
        let value = required.and_then(|required| required.member(name));
        if let Some(value) = value.filter(|_| name != "scopes" || has_scopes) {
            asked.push((name.to_owned(), value.clone()));
        }
    }
    if !asked.is_empty() {
        members.push(("require".to_owned(), Document::Object(asked)));
    }
    Some(Document::Object(members))
}

fn object<const N: usize>(members: [(&str, Document); N]) -> Document {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Document::Object(members.collect())
}

fn word(text: &str) -> Document {
    Document::Text(Secret::new(text.to_owned()))
}

/// The name of the provider.
const GATEWAY: &str = "gateway";
const NONE: &str = "none";
/// As the configuration has it (`forward.assertion.header`).
const DEFAULT_HEADER: &str = "x-agent-assertion";
