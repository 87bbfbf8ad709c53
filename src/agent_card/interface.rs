//! Where an agent takes messages, by what its card says (A2A 0.3 §5.6, A2A 1.0 §8.3).
//!
//! It does not know whether anything stands there.

use std::fmt;

use serde_json::{Map, Value};

use crate::callout::{Url, UrlError};

use super::requirement::array;
use super::{is_legacy, member, snake_case};

/// Where a message is POSTed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Host and port, in lower case.
    pub authority: String,
    /// The path, as a request's.
    pub path: String,
}

/// The url of an interface to which no message can be sent. Holds nothing of it: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadableUrl {
    /// Why.
    pub error: UrlError,
}

impl fmt::Display for UnreadableUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the `url` of an interface: {}", self.error)
    }
}

impl std::error::Error for UnreadableUrl {}

/// All of a card: those of 1.0, then the one at the top, which is preferred in 0.3, and those beside it. None comes twice.
pub(super) fn of(card: &Map<String, Value>) -> Vec<Result<Interface, UnreadableUrl>> {
    let mut found = Vec::new();
    add_all(&mut found, card, "supportedInterfaces", |each| {
        ("protocolBinding", is_legacy(each, ""))
    });
    let is_legacy = is_legacy(card, UNSAID_VERSION);
    if member(card, "url").is_some() {
        add(&mut found, card, "preferredTransport", is_legacy);
    }
    add_all(&mut found, card, "additionalInterfaces", |_| {
        ("transport", is_legacy)
    });
    found
}

/// Whether a list has more than there may be: each is held against all rules.
pub(super) fn are_too_many(card: &Map<String, Value>) -> bool {
    let names = ["supportedInterfaces", "additionalInterfaces"];
    let is_too_long = |name: &str| array(card.get(name)).len() > MAX_INTERFACES;
    names
        .into_iter()
        .any(|name| is_too_long(name) || is_too_long(&snake_case(name)))
}

/// Those of a list, under both of its names.
fn add_all(
    found: &mut Vec<Result<Interface, UnreadableUrl>>,
    card: &Map<String, Value>,
    list: &str,
    kind: impl Fn(&Map<String, Value>) -> (&'static str, bool),
) {
    for name in [list, &snake_case(list)] {
        for each in array(card.get(name)) {
            if let Value::Object(each) = each {
                let (binding, is_legacy) = kind(each);
                add(found, each, binding, is_legacy);
            }
        }
    }
}

fn add(
    found: &mut Vec<Result<Interface, UnreadableUrl>>,
    members: &Map<String, Value>,
    binding: &str,
    is_legacy: bool,
) {
    let text = |name| member(members, name).and_then(Value::as_str).unwrap_or_default();
    let interface = interface(text("url"), text(binding), text("tenant"), is_legacy);
    let is_there = |other: &Result<Interface, UnreadableUrl>| match (other, &interface) {
        (Ok(other), Ok(interface)) => *other == *interface,
        (Ok(_) | Err(_), _) => false,
    };
    if !found.iter().any(is_there) {
        found.push(interface.map_err(|error| UnreadableUrl { error }));
    }
}

fn interface(url: &str, binding: &str, tenant: &str, is_legacy: bool) -> Result<Interface, UrlError> {
    if binding == "GRPC" {
        // `https://host:port`, `host:port`, and names of gRPC's own (`dns:///host:port`): the path is the method's.
        let target = url.split_once("//").map_or(url, |(_, target)| target);
        let target = Url::parse(&["http://", target.trim_start_matches('/')].concat())?;
        let service = if is_legacy { "/a2a.v1" } else { "/lf.a2a.v1" };
        return Ok(Interface {
            authority: target.authority().into(),
            path: [service, ".A2AService/SendMessage"].concat(),
        });
    }
    // What is behind a `#` is the client's own business (RFC 9110 §7.1).
    let url = Url::parse(url.split_once('#').map_or(url, |(url, _)| url))?;
    let mut path = url.path().to_owned();
    if binding == "HTTP+JSON" {
        // What is behind a `?` cannot be gone on from.
        path.truncate(path.find('?').unwrap_or(path.len()));
        path.truncate(path.strip_suffix('/').map_or(path.len(), str::len));
        if is_legacy {
            path.push_str("/v1");
        } else if !tenant.is_empty() {
            path.push('/');
            path.push_str(tenant);
        }
        path.push_str("/message:send");
    }
    Ok(Interface {
        authority: url.authority().into(),
        path,
    })
}

/// What a card of 0.3 has that names no version (A2A 0.3 §5.5).
const UNSAID_VERSION: &str = "0.3.0";
/// How many interfaces a list may have: there are three bindings, of two versions.
const MAX_INTERFACES: usize = 64;
