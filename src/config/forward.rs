//! What is forwarded of a caller, and how refusals are worded: `inbound.forward`, `claim_to_headers` of a provider,
//! and `inbound.errors`.

use std::ops::RangeInclusive;

use crate::assertion::Assertion;
use crate::claims::ClaimPath;
use crate::config::Environment;
use crate::config::assertion::assertion;
use crate::config::document::Document;
use crate::config::header::{HeaderOwners, Use, header_name, own_header};
use crate::config::problem::{ProviderProblem, RuleProblem};
use crate::config::reader::{Node, Object, all, distinct};
use crate::config::text::text;
use crate::policy::inbound::Forward;
use crate::policy::{ErrorStyle, OwnedHeaders, RB_AUTH_CLAIMS};

/// Reads `forward`, and takes its headers.
pub(super) fn forward(
    inbound: &Object<'_>,
    owners: &mut HeaderOwners,
) -> Option<(Forward, Option<Assertion>)> {
    let forward = inbound.section(
        "forward",
        &[
            "identity_headers",
            "rb_auth_claims",
            "list_separator",
            "assertion",
        ],
    )?;
    let identity = identity_headers(&forward, owners);
    let rb_auth_claims = forward.or("rb_auth_claims", None, |node| rb_auth_claims(&node, owners));
    let list_separator = forward.or("list_separator", DEFAULT_SEPARATOR.to_owned(), |node| {
        separator(&node)
    });
    let assertion = forward.or("assertion", None, |node| assertion(&node, owners).map(Some));
    let [peer, sub, iss, method] = identity?;
    let forward = Forward {
        peer: peer.map(Into::into),
        sub: sub.map(Into::into),
        iss: iss.map(Into::into),
        method: method.map(Into::into),
        rb_auth_claims: rb_auth_claims?,
        list_separator: list_separator?,
    };
    Some((forward, assertion?))
}

/// Reads a claim path.
pub(super) fn claim_path(node: &Node<'_>) -> Option<ClaimPath> {
    match ClaimPath::parse(node.text()?) {
        Ok(path) => Some(path),
        Err(error) => node.refuse(ProviderProblem::ClaimPath(error)),
    }
}

/// Reads `claim_to_headers`. Several providers may write the same header, for a caller has the token of one: each has
/// owners of its own.
pub(super) fn claim_headers(node: &Node<'_>, owners: &mut HeaderOwners) -> Option<Vec<(String, ClaimPath)>> {
    all(node.members()?.into_iter().map(|(name, node)| {
        let header = header_name(&node, name, Use::Own).and_then(|name| owners.claim_at(&node, name));
        let claim = claim_path(&node);
        Some((header?, claim?))
    }))
}

/// Reads `errors`.
pub(super) fn errors(inbound: &Object<'_>) -> Option<ErrorStyle> {
    let errors = inbound.section(
        "errors",
        &["realm", "verbose", "jsonrpc_code", "expose_challenge"],
    )?;
    let default = default_style(inbound.node().environment());
    let realm = errors.or("realm", default.realm, |node| match text(&node)? {
        realm if is_realm(&realm) => Some(realm),
        _ => node.refuse(RuleProblem::Realm),
    });
    let verbose = errors.or("verbose", default.verbose, |node| node.flag());
    let jsonrpc_code = errors.or("jsonrpc_code", default.jsonrpc_code, |node| {
        let code = node.integer::<i32>(i64::from(i32::MIN)..=i64::from(i32::MAX))?;
        match TAKEN_BY_A2A.contains(&code) {
            true => node.refuse(RuleProblem::JsonRpcCodeTaken(code)),
            false => Some(code),
        }
    });
    let exposes_challenge = errors.flag("expose_challenge");
    Some(ErrorStyle {
        realm: realm?,
        verbose: verbose?,
        jsonrpc_code: jsonrpc_code?,
        exposes_challenge: exposes_challenge?,
        redactor: default.redactor,
    })
}

/// How refusals are worded where nothing is written: the realm is the workload, where it is known.
pub(super) fn default_style(environment: &Environment) -> ErrorStyle {
    let workload = environment.workload.clone().filter(|workload| is_realm(workload));
    let default = ErrorStyle::default();
    ErrorStyle {
        realm: workload.unwrap_or(default.realm),
        ..default
    }
}

/// The headers of peer, subject, issuer and method, in this order.
fn identity_headers(forward: &Object<'_>, owners: &mut HeaderOwners) -> Option<[Option<String>; 4]> {
    let headers = forward.section("identity_headers", &["peer", "sub", "iss", "method"])?;
    let read = IDENTITY_HEADERS.map(|(member, default)| match headers.is_null(member) {
        // Here null is not the same as absent: nothing is forwarded.
        true => Some(None),
        false => own_header(&headers, member, default, owners).map(Some),
    });
    let [peer, sub, iss, method] = read;
    Some([peer?, sub?, iss?, method?])
}

/// The headers that are the filter's own whatever `forward` says: an upstream that knows peergate believes them, also
/// where this policy gives them other names or leaves them away.
pub(super) fn always_owned() -> impl Iterator<Item = Vec<u8>> {
    let identity = IDENTITY_HEADERS.into_iter().map(|(_, header)| header);
    identity
        .chain([RB_AUTH_CLAIMS])
        .map(|header| header.as_bytes().to_vec())
}

/// The headers that are the filter's own where nothing is forwarded.
pub(super) fn default_owned_headers() -> OwnedHeaders {
    OwnedHeaders::new(always_owned())
}

/// `false`, `true`, or `{extra: [claim…]}`.
fn rb_auth_claims(node: &Node<'_>, owners: &mut HeaderOwners) -> Option<Option<Vec<ClaimPath>>> {
    let extra = match node.document() {
        Document::Flag(false) => return Some(None),
        Document::Object(_) => node.object(&["extra"])?.list("extra", distinct(extra_claim)),
        _ => node.flag().map(|_| Vec::new()),
    };
    let header = owners.claim_at(node, RB_AUTH_CLAIMS.to_owned());
    header?;
    extra.map(Some)
}

fn extra_claim(node: &Node<'_>) -> Option<ClaimPath> {
    let claim = claim_path(node)?;
    match ALWAYS_FORWARDED.contains(&claim.as_str()) {
        true => node.refuse(RuleProblem::ClaimForwarded),
        false => Some(claim),
    }
}

/// What joins lists must not look like a part of an item, nor like the `%2C` that stands for it within one.
fn separator(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let is_separator = text.len() <= LONGEST_SEPARATOR
        && text
            .bytes()
            .all(|byte| (byte == b' ' || byte.is_ascii_punctuation()) && !matches!(byte, b'%' | b'"'));
    match is_separator {
        true => Some(text.to_owned()),
        false => node.refuse(RuleProblem::Separator),
    }
}

/// What can stand in a quoted string without escapes (RFC 9110 §5.6.4).
fn is_realm(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

const IDENTITY_HEADERS: [(&str, &str); 4] = [
    ("peer", "x-agent-peer"),
    ("sub", "x-agent-sub"),
    ("iss", "x-agent-iss"),
    ("method", "x-agent-auth"),
];
/// What `rb-auth-claims` holds of every caller.
const ALWAYS_FORWARDED: [&str; 4] = ["sub", "name", "iss", "scope"];
const DEFAULT_SEPARATOR: &str = ",";
/// Ours: enough for `, ` or ` | `.
const LONGEST_SEPARATOR: usize = 8;
/// A2A 1.0 §5.4: the codes of its own errors.
const TAKEN_BY_A2A: RangeInclusive<i32> = -32010..=-32001;
