//! What an outbound rule puts on a call: `query_params`, `query_to_header`, `headers`, `cookies`.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::document::Document;
use crate::config::header::{Use, header, header_name};
use crate::config::problem::{Kind, OutboundProblem, ShapeProblem};
use crate::config::reader::{Node, Object, all, plain_text};
use crate::config::secret::{Found, secret};
use crate::config::text::text;
use crate::cookie;
use crate::policy::outbound::{HeaderCredential, ParameterValue, QueryToHeader, SharedSecret};
use crate::query::ParameterName;
use crate::secret::Secret;

/// What a rule puts on, but for codes.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) query_parameters: Vec<(ParameterName, Found<ParameterValue>)>,
    pub(super) query_to_header: Option<QueryToHeader>,
    pub(super) headers: Vec<(String, Found<HeaderCredential>)>,
    pub(super) cookies: Vec<(String, Found<SharedSecret>)>,
}

/// Reads them. The header of codes is taken already.
pub(super) fn credentials(rule: &Object<'_>, code_header: Option<&str>) -> Option<Credentials> {
    let query_parameters = rule.or("query_params", Vec::new(), |node| query_parameters(&node));
    let headers = rule.or("headers", Vec::new(), |node| headers(&node, code_header));
    let cookies = rule.or("cookies", Vec::new(), |node| cookies(&node));
    let taken = || {
        headers
            .iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .chain(code_header)
    };
    let query_to_header = rule.or("query_to_header", None, |node| {
        let moved = query_to_header(&node)?;
        match taken().find(|name| *name == moved.to) {
            Some(name) => node.refuse(OutboundProblem::HeaderTwice(name.to_owned())),
            None => Some(Some(moved)),
        }
    });
    Some(Credentials {
        query_parameters: query_parameters?,
        query_to_header: query_to_header?,
        headers: headers?,
        cookies: cookies?,
    })
}

/// Whether a rule has, or was meant to have, something under this name.
pub(super) fn has(rule: &Object<'_>, name: &str) -> bool {
    match rule.node().document().member(name) {
        None => false,
        Some(Document::Object(members)) => !members.is_empty(),
        Some(_) => true,
    }
}

/// Whether a rule has a secret of its own in the query, not only a caller's.
pub(super) fn has_secret_parameter(rule: &Object<'_>) -> bool {
    match rule.node().document().member("query_params") {
        Some(Document::Object(members)) => members
            .iter()
            .any(|(_, value)| value.member("from_header").is_none()),
        Some(_) => true,
        None => false,
    }
}

/// Reads `query_params`: SECRETs, or headers of the call, by the names of the parameters.
fn query_parameters(node: &Node<'_>) -> Option<Vec<(ParameterName, Found<ParameterValue>)>> {
    all(node.members()?.into_iter().map(|(name, node)| {
        let name = match ParameterName::parse(name) {
            Ok(name) => Some(name),
            Err(_) => node.refuse(OutboundProblem::ParameterName),
        };
        let is_from_header = node.kind() == Kind::Object && node.document().member("from_header").is_some();
        let value = match is_from_header {
            true => node
                .object(&["from_header"])?
                .required("from_header")
                .and_then(|node| header(&node, Use::PutOn))
                .map(|header| Found::There(ParameterValue::FromHeader(header))),
            false => secret(&node).map(|found| found.map(|value| ParameterValue::Secret(shared(&value)))),
        };
        Some((name?, value?))
    }))
}

/// Reads `query_to_header`: `{from: NAME, to: HEADER, prefix: "Bearer "}`.
fn query_to_header(node: &Node<'_>) -> Option<QueryToHeader> {
    let moved = node.object(&["from", "to", "prefix"])?;
    let from = moved.required("from").and_then(|node| plain_text(&node));
    let to = moved.required("to").and_then(|node| header(&node, Use::PutOn));
    let default = match to.as_deref() {
        Some("authorization") => "Bearer ",
        _ => "",
    };
    let prefix = prefix(&moved, to.as_deref(), default);
    Some(QueryToHeader {
        from: from?,
        to: to?,
        prefix: prefix?,
    })
}

/// Reads `headers`: `{prefix: "Bearer ", value: SECRET}` or `{basic: {username, password: SECRET}}` by name.
fn headers(node: &Node<'_>, code_header: Option<&str>) -> Option<Vec<(String, Found<HeaderCredential>)>> {
    let mut taken: Vec<String> = code_header.map(str::to_owned).into_iter().collect();
    all(node.members()?.into_iter().map(|(written, node)| {
        let name = header_name(&node, written, Use::PutOn).and_then(|name| match taken.contains(&name) {
            true => node.refuse(OutboundProblem::HeaderTwice(name)),
            false => {
                taken.push(name.clone());
                Some(name)
            }
        });
        let value = header_value(written, &node);
        Some((name?, value?))
    }))
}

fn header_value(name: &str, node: &Node<'_>) -> Option<Found<HeaderCredential>> {
    let value = node.object(&["prefix", "value", "basic"])?;
    match value.one_of(&["value", "basic"])? {
        basic if value.has("basic") => {
            if value.has("prefix") {
                return node.refuse(ShapeProblem::Excluding(vec!["prefix", "basic"]));
            }
            basic_credentials(&basic)
        }
        node => {
            let prefix = prefix(&value, Some(name), "");
            let secret = secret(&node)?;
            let prefix = prefix?;
            secret.and_then(|value| {
                // A space at an end is lost on the way (RFC 9110 §5.5), and the secret with it.
                match is_field_text(value.expose()) && value.expose().trim() == value.expose() {
                    true => Some(HeaderCredential {
                        whole: shared(&Secret::new(format!("{prefix}{}", value.expose()))),
                        secrets: vec![shared(&value)],
                    }),
                    false => node.refuse(OutboundProblem::HeaderValue),
                }
            })
        }
    }
}

/// RFC 7617 §2.
fn basic_credentials(node: &Node<'_>) -> Option<Found<HeaderCredential>> {
    let basic = node.object(&["username", "password"])?;
    let username = basic.required("username").and_then(|node| match text(&node)? {
        name if name.contains(':') || name.chars().any(char::is_control) => {
            node.refuse(OutboundProblem::Username)
        }
        name => Some(name),
    });
    let password = basic.required("password").and_then(|node| secret(&node));
    let username = username?;
    Some(password?.map(|password| {
        let pair = Secret::new(format!("{username}:{}", password.expose()));
        let encoded = Secret::new(STANDARD.encode(pair.expose()));
        HeaderCredential {
            whole: shared(&Secret::new(format!("Basic {}", encoded.expose()))),
            secrets: vec![shared(&password), shared(&encoded)],
        }
    }))
}

/// Reads `cookies`: SECRETs by the names of the cookies.
fn cookies(node: &Node<'_>) -> Option<Vec<(String, Found<SharedSecret>)>> {
    all(node.members()?.into_iter().map(|(name, node)| {
        let name = match cookie::is_name(name) {
            true => Some(name.to_owned()),
            false => node.refuse(OutboundProblem::CookieName),
        };
        let value =
            secret(&node)?.and_then(|value| match value.expose().bytes().all(cookie::is_value_byte) {
                true => Some(shared(&value)),
                false => node.refuse(OutboundProblem::CookieValue),
            });
        Some((name?, value?))
    }))
}

/// What stands before a value: an authentication scheme and a space, or whatever the upstream wants there.
fn prefix(object: &Object<'_>, header: Option<&str>, default: &str) -> Option<String> {
    object.or("prefix", default.to_owned(), |node| match node.document() {
        Document::Text(text) if text.expose().is_empty() => Some(String::new()),
        _ => match node.text()? {
            prefix if header.is_some_and(is_of_schemes) && !prefix.ends_with(' ') => {
                node.refuse(OutboundProblem::SchemeWithoutSpace)
            }
            prefix if is_field_text(prefix) && !prefix.starts_with(' ') => Some(prefix.to_owned()),
            _ => node.refuse(OutboundProblem::HeaderValue),
        },
    })
}

/// Whether a header's value is an authentication scheme, a space and credentials (RFC 9110 §11.4).
fn is_of_schemes(header: &str) -> bool {
    ["authorization", "proxy-authorization"]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(header))
}

/// What a header can carry as it is (RFC 9110 §5.5), in ASCII.
fn is_field_text(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn shared(value: &Secret<String>) -> SharedSecret {
    Rc::new(Secret::new(value.expose().clone().into_bytes()))
}
