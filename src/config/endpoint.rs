//! ENDPOINT: what the filter itself asks, and where Envoy sends it.

use crate::callout::{Endpoint, Url};
use crate::config::problem::KeySourceProblem;
use crate::config::reader::{Node, Object, plain_text};
use crate::config::text::text;
use crate::metadata;

/// Reads an ENDPOINT.
pub(super) fn endpoint(node: &Node<'_>) -> Option<Endpoint> {
    let endpoint = node.object(MEMBERS)?;
    let url = endpoint.required("uri").and_then(|uri| url(&uri));
    finish(&endpoint, url)
}

/// Reads an ENDPOINT of metadata: without a `uri` it is that of the issuer. `None` is an issuer that could not be read.
pub(super) fn discovery(node: &Node<'_>, issuer: Option<&str>) -> Option<Endpoint> {
    let endpoint = node.object(MEMBERS)?;
    let url = match endpoint.optional("uri") {
        Some(uri) => url(&uri),
        None => issuer.and_then(|issuer| match Url::parse(&metadata::uri(issuer)) {
            Ok(url) => Some(url),
            Err(error) => endpoint.refuse_missing("uri", KeySourceProblem::IssuerIsNoUrl(error)),
        }),
    };
    finish(&endpoint, url)
}

fn finish(endpoint: &Object<'_>, url: Option<Url>) -> Option<Endpoint> {
    let cluster = endpoint.required("cluster").and_then(|node| plain_text(&node));
    let timeout_seconds = endpoint.or("timeout_seconds", DEFAULT_TIMEOUT_SECONDS, |node| {
        node.integer(1..=MAX_TIMEOUT_SECONDS)
    });
    Some(Endpoint {
        url: url?,
        cluster: cluster?,
        timeout_seconds: timeout_seconds?,
    })
}

fn url(node: &Node<'_>) -> Option<Url> {
    match Url::parse(&text(node)?) {
        Ok(url) => Some(url),
        Err(error) => node.refuse(KeySourceProblem::Url(error)),
    }
}

const MEMBERS: &[&str] = &["uri", "cluster", "timeout_seconds"];
const DEFAULT_TIMEOUT_SECONDS: u16 = 5;
const MAX_TIMEOUT_SECONDS: i64 = 60;
