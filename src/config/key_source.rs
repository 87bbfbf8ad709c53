//! Keys that are fetched: `discovery`, `remote`, `jwks_uri` and `cache` of `inbound.providers[].jwks`.

use crate::callout::{Endpoint, Url};
use crate::config::problem::KeySourceProblem;
use crate::config::reader::{Node, Object, plain_text};
use crate::config::text::text;
use crate::keys::{CacheTimes, Location, metadata_uri};

/// Reads where keys are fetched from. `issuer` is where metadata stands, if nothing else is said.
pub(super) fn location(jwks: &Object<'_>, issuer: Option<&str>) -> Option<Location> {
    let key_set = jwks.or("jwks_uri", None, |node| endpoint(&node, None).map(Some));
    if let Some(remote) = jwks.optional("remote") {
        if jwks.has("jwks_uri") {
            return jwks.refuse_member("jwks_uri", KeySourceProblem::UriWithoutDiscovery);
        }
        return endpoint(&remote, None).map(Location::KeySet);
    }
    let discovery = jwks.optional("discovery")?;
    let metadata = endpoint(&discovery, Some(issuer));
    Some(Location::Metadata {
        metadata: metadata?,
        key_set: key_set?,
    })
}

/// Reads `cache`.
pub(super) fn cache(jwks: &Object<'_>) -> Option<CacheTimes> {
    let cache = jwks.section(
        "cache",
        &["seconds", "max_stale_seconds", "unknown_kid_interval_seconds"],
    )?;
    let seconds = cache.or("seconds", DEFAULT_SECONDS, |node| node.integer(1..=MAX_SECONDS));
    let max_stale_seconds = cache.or("max_stale_seconds", DEFAULT_MAX_STALE_SECONDS, |node| {
        node.integer(1..=LONGEST_STALE_SECONDS)
    });
    let unknown_kid_interval_seconds =
        cache.or("unknown_kid_interval_seconds", DEFAULT_INTERVAL_SECONDS, |node| {
            node.integer(1..=MAX_INTERVAL_SECONDS)
        });
    let (seconds, max_stale_seconds) = (seconds?, max_stale_seconds?);
    if max_stale_seconds < seconds {
        return cache.refuse_member("max_stale_seconds", KeySourceProblem::StaleBeforeFetched(seconds));
    }
    Some(CacheTimes {
        seconds,
        max_stale_seconds,
        unknown_kid_interval_seconds: unknown_kid_interval_seconds?,
    })
}

/// Refuses what is said of fetching where nothing is fetched.
pub(super) fn refuse_fetching(jwks: &Object<'_>) -> Option<()> {
    let refused = ["jwks_uri", "cache"].map(|name| {
        jwks.has(name)
            .then(|| jwks.refuse_member::<()>(name, KeySourceProblem::NothingFetched))
    });
    refused.iter().all(Option::is_none).then_some(())
}

/// Reads an ENDPOINT. Without a `uri` it is the metadata of the issuer, where there may be one.
fn endpoint(node: &Node<'_>, metadata_of: Option<Option<&str>>) -> Option<Endpoint> {
    let endpoint = node.object(&["uri", "cluster", "timeout_seconds"])?;
    let url = match (endpoint.optional("uri"), metadata_of) {
        (Some(uri), _) => url(&uri),
        (None, Some(issuer)) => match Url::parse(&metadata_uri(issuer?)) {
            Ok(url) => Some(url),
            Err(error) => endpoint.refuse_missing("uri", KeySourceProblem::IssuerIsNoUrl(error)),
        },
        (None, None) => endpoint.required("uri").and_then(|uri| url(&uri)),
    };
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

/// As Envoy's own filter has it.
const DEFAULT_SECONDS: u32 = 600;
const MAX_SECONDS: i64 = 86_400;
const DEFAULT_MAX_STALE_SECONDS: u32 = 86_400;
/// Ours: thirty days.
const LONGEST_STALE_SECONDS: i64 = 2_592_000;
const DEFAULT_INTERVAL_SECONDS: u32 = 10;
const MAX_INTERVAL_SECONDS: i64 = 3_600;
const DEFAULT_TIMEOUT_SECONDS: u16 = 5;
const MAX_TIMEOUT_SECONDS: i64 = 60;
